"""Options of the pictures for people."""

from typing import Annotated

from pydantic import Field

from regionflow.base.options import Count, CountOrNone, Few, Options, Side


class ReportOptions(Options):
    """Pictures for people."""

    max_side: Side = 800
    """Longer side of one panel of an overlay, in pixels; larger photos are shrunk."""
    contact_sheet_images: Few = 24
    """Images on the contact sheet, spread evenly over the set."""
    page_images: Count = 96
    """Images shown in full on the report page, spread evenly over the set; it lists the others."""
    page_side: Annotated[int, Field(ge=64, le=2048)] = 640
    """Longer side of an image on the report page, in pixels."""
    page_crops: Annotated[int, Field(ge=1, le=100)] = 12
    """Region crops per cluster on the report page."""
    page_regions: Count = 2000
    """Regions on the 2-D map of the report page, a seeded sample."""
    page_features: CountOrNone = 20000
    """Regions whose features are on the report page, so that it finds regions like a picked one: of the images shown,
    those of the largest area; 32 bytes each."""
