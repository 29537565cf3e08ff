"""Where a sweep's runs are trained: in this process, or by an engine that spreads them out."""
