"""The paper's figures and tables, a file a group: the runs each needs and what they give."""
