"""What the extension costs beside what a user would use instead; `python -m benchmarks` measures and writes it down."""
