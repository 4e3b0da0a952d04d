"""Parts that pages share, made of plain HTML elements and the classes of the style sheets."""
