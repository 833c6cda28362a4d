"""One task → scheduled TIR: TE computes, templates per architecture, selection."""
