"""YAML to a rulebook: rules, parameters, inline tests; every mistake with its location."""
