"""SAM, MobileSAM and HQ-SAM behind one automatic mask generator."""
