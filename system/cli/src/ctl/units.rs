//! Durations, sizes and numbers as Go writes and reads them.

use std::time::Duration;

/// Reads a duration such as `5s`, `1m30s`, `500ms` or `1.5h`. A bare number has no unit and is refused, except `0`.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(format!("{text:?} is no duration; write for example 5s or 500ms"));
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits]
            .parse()
            .map_err(|_| format!("{text:?} is no duration; write for example 5s or 500ms"))?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(format!("missing unit in duration {text:?}; write for example 5s")),
            unit => return Err(format!("unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * seconds;
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| format!("duration {text:?} is too long"))
}

/// Writes a duration as Go does: `4.645502ms`, `1m2.5s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128, name: &str| {
        let text =
            format!("{}.{:0width$}", nanos / unit, nanos % unit, width = unit.ilog10() as usize);
        format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let rest = Duration::new(seconds % 60, duration.subsec_nanos()).as_nanos();
            let text = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let text = format!("{}s", text.trim_end_matches('0').trim_end_matches('.'));
            match (hours, minutes) {
                (0, 0) => text,
                (0, _) => format!("{minutes}m{text}"),
                _ => format!("{hours}h{minutes}m{text}"),
            }
        }
    }
}

/// Writes a size in steps of a thousand, with one digit after the point below ten: `20 kB`, `2.1 GB`.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut exponent = 0;
    while exponent + 1 < UNITS.len() && bytes / 1000_u64.pow(exponent as u32) >= 1000 {
        exponent += 1;
    }
    let value = (bytes as f64 / 1000_f64.powi(exponent as i32) * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1} {}", UNITS[exponent])
    } else {
        format!("{value:.0} {}", UNITS[exponent])
    }
}

/// Reads a number, with the error that etcdctl prints.
///
/// # Errors
/// The text is no number, or too large.
pub fn parse_number(text: &str, radix: u32) -> Result<i64, String> {
    i64::from_str_radix(text, radix).map_err(|error| {
        let reason = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                "value out of range"
            }
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, millis) in
            [("5s", 5_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["5", "", "s", "5x", "-1s", "1e5h", "9999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for (nanos, text) in [
            (0, "0s"),
            (850, "850ns"),
            (850_000, "850µs"),
            (4_645_502, "4.645502ms"),
            (5_002_656_360, "5.00265636s"),
            (62_500_000_000, "1m2.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn sizes_are_in_thousands() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (20_480, "20 kB"),
            (2_147_483_648, "2.1 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }

    #[test]
    fn numbers_that_are_none_say_so_in_gos_words() {
        assert_eq!(parse_number("1f", 16), Ok(31));
        assert_eq!(
            parse_number("zz", 16),
            Err("strconv.ParseInt: parsing \"zz\": invalid syntax".to_owned())
        );
        assert!(parse_number("99999999999999999999", 10).unwrap_err().ends_with("out of range"));
    }
}
