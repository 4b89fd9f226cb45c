"""For third parties: the contracts of every seam as test classes, and fakes. Needs pytest and hypothesis."""
