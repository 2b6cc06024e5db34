//! The table `pending_deliveries`: deliveries that wait for their time.
