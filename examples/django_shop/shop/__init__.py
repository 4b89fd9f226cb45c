"""A shop: products in a database, photos of them in a folder."""
