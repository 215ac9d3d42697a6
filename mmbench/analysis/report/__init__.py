"""The report: sections of figures and tables on one static page that works offline."""
