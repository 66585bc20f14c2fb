"""The typed configuration: `types` declares it, `load` checks one, `document` writes its schema and reference."""
