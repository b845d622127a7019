"""Programs for people and for tests; nothing in the product imports them."""
