"""Text that would be more than text if it were not escaped."""

LABELS = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</text></svg></style><script>alert(2)</script>",
    "$\\alpha_{1}^2$ 100 % & #1 ~ \\end{tabular}",
    "{{ 7 * 7 }}{% raw %}",
    "😀 ∇é 汉字 עברית",
    "../../etc/passwd",
    "a|b,c;d\"e'f`g`",
    "javascript:alert(3)",
    "x" * 300,
)
FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\uff1d1")
CONTROL_CHARACTERS = "a\x1b[31mred\x07\x9b2J\r\u202e\0"
