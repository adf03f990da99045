"""What is measured against: applications as a person would write them, each under uvicorn."""
