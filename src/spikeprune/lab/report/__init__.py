"""The record of a finished run, its report in HTML, and the parts that all pages share."""
