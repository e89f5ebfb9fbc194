//! quorate-script
