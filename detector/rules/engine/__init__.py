"""Rules compiled to one function, and what they remember of an account."""
