//! `strftime_now` for templates that write the date: Python's `datetime.now().strftime(format)`, in English
//! whatever the host's locale is (models were trained on English dates).

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment in local time.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    year: i32,
    /// 0 to 11.
    month: usize,
    day: i32,
    /// 0 is Sunday.
    weekday: usize,
    /// 0 to 365.
    yearday: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

/// The present local time in `format`.
pub(super) fn now(format: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format_moment(format, &local(seconds as libc::time_t))
}

fn local(seconds: libc::time_t) -> Moment {
    // SAFETY: `tm` is plain data for which zeros are valid, and both pointers are to live locals.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    Moment {
        year: tm.tm_year + 1900,
        month: tm.tm_mon.clamp(0, 11) as usize,
        day: tm.tm_mday,
        weekday: tm.tm_wday.clamp(0, 6) as usize,
        yearday: tm.tm_yday,
        hour: tm.tm_hour,
        minute: tm.tm_min,
        second: tm.tm_sec,
    }
}

/// Expands the directives that templates use; others stay as they are written.
fn format_moment(format: &str, at: &Moment) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // GNU's `%-d`: no padding.
        let mut directive = chars.next().unwrap_or('%');
        let padded = directive != '-';
        if !padded {
            directive = chars.next().unwrap_or('%');
        }
        match expand(directive, at, padded) {
            Some(text) => out.push_str(&text),
            None => out.extend(['%', directive]),
        }
    }
    out
}

fn expand(directive: char, at: &Moment, padded: bool) -> Option<String> {
    let two = |n: i32| if padded { format!("{n:02}") } else { n.to_string() };
    let hour12 = (at.hour + 11) % 12 + 1;
    Some(match directive {
        'Y' => at.year.to_string(),
        'y' => two(at.year % 100),
        'm' => two(at.month as i32 + 1),
        'd' => two(at.day),
        'e' => format!("{:2}", at.day),
        'H' => two(at.hour),
        'I' => two(hour12),
        'M' => two(at.minute),
        'S' => two(at.second),
        'j' if padded => format!("{:03}", at.yearday + 1),
        'j' => (at.yearday + 1).to_string(),
        'p' => if at.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'B' => MONTHS[at.month].to_owned(),
        'b' | 'h' => MONTHS[at.month][..3].to_owned(),
        'A' => DAYS[at.weekday].to_owned(),
        'a' => DAYS[at.weekday][..3].to_owned(),
        'w' => at.weekday.to_string(),
        'u' => if at.weekday == 0 { 7 } else { at.weekday }.to_string(),
        'F' => format_moment("%Y-%m-%d", at),
        'T' | 'X' => format_moment("%H:%M:%S", at),
        'D' | 'x' => format_moment("%m/%d/%y", at),
        'R' => format_moment("%H:%M", at),
        'c' => format_moment("%a %b %e %H:%M:%S %Y", at),
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        // A naive datetime has no zone, and Python writes nothing for it.
        'z' | 'Z' => String::new(),
        'f' => "000000".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let at =
            Moment { year: 2024, month: 6, day: 5, weekday: 5, yearday: 186, hour: 0, minute: 7, second: 9 };
        assert_eq!(format_moment("%d %b %Y", &at), "05 Jul 2024");
        assert_eq!(format_moment("%A, %B %-d, %y at %I:%M %p", &at), "Friday, July 5, 24 at 12:07 AM");
        assert_eq!(format_moment("%F %T %j %% %Q", &at), "2024-07-05 00:07:09 187 % %Q");
    }

    #[test]
    fn now_is_this_century() {
        assert!(now("%Y").starts_with("20"));
    }
}
