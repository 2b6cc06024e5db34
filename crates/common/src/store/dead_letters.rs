//! The table `dead_letters`: what could not be delivered, until somebody reprocesses it.
