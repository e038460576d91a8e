"""What ``sdar doctor`` looks at: packages, devices, engines, data, services and room; one remedy a problem."""
