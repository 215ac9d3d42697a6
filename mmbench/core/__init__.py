"""Mathematics and descriptions that all other packages use; imports none of them."""
