pub mod odata;
pub mod patch;
