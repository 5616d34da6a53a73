"""The study: configurations, commands, raw results, and the page that is made of them."""
