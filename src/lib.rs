pub mod jose;
pub mod secrets;
