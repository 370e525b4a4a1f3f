"""From files to images that a network takes: listing, splits, the gate, the grid."""
