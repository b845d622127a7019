"""What people would use instead, pinned and in environments of its own, on the same questions as ours."""
