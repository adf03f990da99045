"""HTTP: dispatch, versions, problem details, pagination, health."""
