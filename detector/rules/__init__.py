"""Rules: what makes a transaction suspicious, and the reason it gives.

A rule judges a transaction by its values, its event time, and what its account did before; no rule
looks at a clock, so a replay gives the same verdicts. All rules are data, in a file.
"""

from detector.rules.engine.reasons import Payment
from detector.rules.engine.rules import INNOCENT, Matched, Rules, Verdict

__all__ = ["INNOCENT", "Matched", "Payment", "Rules", "Verdict"]
