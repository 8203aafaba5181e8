"""The challenge's winners, as their papers and its organisers report them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Winner:
    """Best classification entry of a year.

    Attributes
    ----------
    error : float
        Per cent of the test pictures whose class was not among five answers.
    layers : int or None
        With weights, along the longest way; None where none were learned
        in layers, or where several networks were joined.
    source : str
        Key of this book's references.
    """

    year: int
    name: str
    error: float
    layers: int | None
    source: str


WINNERS = (
    Winner(2010, "NEC-UIUC", 28.2, None, "russakovsky2015"),
    Winner(2011, "XRCE", 25.8, None, "russakovsky2015"),
    Winner(2012, "AlexNet", 15.3, 8, "krizhevsky2012"),
    Winner(2013, "Clarifai", 11.7, 8, "russakovsky2015"),
    Winner(2014, "GoogLeNet", 6.7, 22, "szegedy2015"),
    Winner(2015, "ResNet", 3.57, 152, "he2016"),
    Winner(2016, "Trimps-Soushen", 2.99, None, "ilsvrc2016"),
    Winner(2017, "SENet", 2.25, 154, "hu2018"),
)
VGG = Winner(2014, "VGG", 7.3, 19, "simonyan2015")
HUMAN = 5.1  # per cent, one trained annotator (Russakovsky et al., 2015)
