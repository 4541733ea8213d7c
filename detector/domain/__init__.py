"""Values of the business: money, and what may be shown of a text. They import nothing but each other."""
