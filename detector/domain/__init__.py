"""Values of the business: money, and what may be shown of a text; no imports but each other."""
