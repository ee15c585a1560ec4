"""The facts that are counted, the names that dashboards know them by, and the collector that shows them."""
