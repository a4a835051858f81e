"""The trained model as a service: HTTP, batching in flight, and a page to try it. Needs the extra ``serve``."""
