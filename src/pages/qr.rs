//! QR codes, drawn here so that pages need no script for them.

use std::fmt::Write as _;

use qrcode::{Color, QrCode};

/// Empty modules around a code (ISO/IEC 18004 §6.3.8).
const QUIET: usize = 4;

/// The text as an SVG element; none if it is too long for a code.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % width + QUIET, at / width + QUIET);
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qr\" viewBox=\"0 0 {side} {side}\" role=\"img\" \
         aria-label=\"QR code\" shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_drawn_and_not_repeated() {
        let drawn = svg("otpauth://totp/x?secret=<script>").unwrap();
        assert!(drawn.starts_with("<svg ") && !drawn.contains("script"));
        // version 3, medium correction: 29 modules and the quiet zone
        assert!(drawn.contains("viewBox=\"0 0 37 37\""), "{drawn}");
        assert_eq!(svg(&"x".repeat(5000)), None);
    }
}
