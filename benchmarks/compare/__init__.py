"""Speed of mmbench beside what one would use instead, and beside the machine itself."""
