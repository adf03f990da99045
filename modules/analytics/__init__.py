"""Analytics: what was sold, put together from the events of orders."""
