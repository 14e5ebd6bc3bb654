"""Networks in torch, one file each; only training and export import them."""
