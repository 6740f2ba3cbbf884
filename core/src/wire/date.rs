//! Dates (RFC 5322 §3.3), as the fields `Date:` and `Received:` have them.
//!
//! It knows the calendar, not what time it is.

use heapless::VecView;

/// Writes the moment that lies `secs` seconds behind the beginning of 1970 (a clock of Unix: leap seconds are not
/// counted), in UTC: `Fri, 27 Nov 2026 23:43:37 +0000`, always 31 octets.
///
/// False, and nothing is written, if it does not fit. A `u32` lasts until 7 February 2106.
#[must_use]
pub fn write_date(out: &mut VecView<u8>, secs: u32) -> bool {
    let (days, secs) = (secs / DAY, secs % DAY);
    let (year, month, day) = civil(days);
    let mut line = *b"Day, 00 Mon 0000 00:00:00 +0000";
    [line[0], line[1], line[2]] = name(&WEEKDAYS, days % 7);
    [line[5], line[6]] = two(day);
    [line[8], line[9], line[10]] = name(&MONTHS, month);
    [line[12], line[13]] = two(year / 100);
    [line[14], line[15]] = two(year % 100);
    [line[17], line[18]] = two(secs / 3600);
    [line[20], line[21]] = two(secs / 60 % 60);
    [line[23], line[24]] = two(secs % 60);
    out.extend_from_slice(&line).is_ok()
}

const DAY: u32 = 86_400;

/// 1 January 1970 was the first of them.
static WEEKDAYS: [[u8; 3]; 7] = [*b"Thu", *b"Fri", *b"Sat", *b"Sun", *b"Mon", *b"Tue", *b"Wed"];

/// From March on, so that the day that leap years have more is the last one.
static MONTHS: [[u8; 3]; 12] =
    [*b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec", *b"Jan", *b"Feb"];

/// Year, month (0 is March) and day of the month (from 1), from days since the beginning of 1970.
fn civil(days: u32) -> (u32, u32, u32) {
    /// 1 March 2100, in a year that is no leap year although it can be divided by four: the only one until 2106.
    const NO_LEAP_DAY: u32 = 47_541;
    /// Days from 1 March 1968, behind a leap day, to the beginning of 1970.
    const BEFORE: u32 = 671;
    /// Days of four years.
    const FOUR_YEARS: u32 = 1461;
    let days = days.wrapping_add(BEFORE).wrapping_add(u32::from(days >= NO_LEAP_DAY));
    let year = days.wrapping_mul(4).wrapping_add(3) / FOUR_YEARS;
    let days = days.wrapping_sub(year.wrapping_mul(FOUR_YEARS) / 4);
    // Five months in a row have 153 days, from March and from August on: 31, 30, 31, 30, 31.
    let month = days.wrapping_mul(5).wrapping_add(2) / 153;
    let day = days.wrapping_sub(month.wrapping_mul(153).wrapping_add(2) / 5);
    let year = year.wrapping_add(1968).wrapping_add(u32::from(month >= 10));
    (year, month, day.wrapping_add(1))
}

fn name(names: &[[u8; 3]], at: u32) -> [u8; 3] {
    names.get(at as usize).copied().unwrap_or_default()
}

/// Two digits of a number below 100.
#[cfg_attr(target_os = "none", inline(never))]
const fn two(number: u32) -> [u8; 2] {
    [b'0'.wrapping_add((number / 10) as u8), b'0'.wrapping_add((number % 10) as u8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;
    use std::string::String;

    fn date(secs: u32) -> String {
        let mut out = Vec::<u8, 31>::new();
        assert!(write_date(&mut out, secs));
        String::from_utf8(out.to_vec()).unwrap()
    }

    // By `date -u -d @SECS -R`.
    #[test]
    fn dates() {
        for (secs, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (59, "Thu, 01 Jan 1970 00:00:59 +0000"),
            (3_599, "Thu, 01 Jan 1970 00:59:59 +0000"),
            (86_399, "Thu, 01 Jan 1970 23:59:59 +0000"),
            (86_400, "Fri, 02 Jan 1970 00:00:00 +0000"),
            (68_255_999, "Tue, 29 Feb 1972 23:59:59 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 +0000"),
            (1_795_823_017, "Fri, 27 Nov 2026 23:43:37 +0000"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
            (u32::MAX, "Sun, 07 Feb 2106 06:28:15 +0000"),
        ] {
            assert_eq!(date(secs), expected, "{secs}");
        }
    }

    #[test]
    fn every_day_counted_one_by_one() {
        const LENGTHS: [(&str, u32); 12] = [
            ("Jan", 31),
            ("Feb", 28),
            ("Mar", 31),
            ("Apr", 30),
            ("May", 31),
            ("Jun", 30),
            ("Jul", 31),
            ("Aug", 31),
            ("Sep", 30),
            ("Oct", 31),
            ("Nov", 30),
            ("Dec", 31),
        ];
        let mut weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"].into_iter().cycle();
        let mut secs = Some(0_u32);
        for year in 1970_u32.. {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in LENGTHS {
                for day in 1..=length + u32::from(is_leap && month == "Feb") {
                    let Some(start) = secs else {
                        assert_eq!((year, month, day), (2106, "Feb", 8));
                        return;
                    };
                    let weekday = weekdays.next().unwrap();
                    // Each day at another time of day; the last one is over early.
                    let time = start / DAY * 7_919 % DAY;
                    let time = time.min(u32::MAX - start);
                    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
                    let expected =
                        format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000");
                    assert_eq!(date(start + time), expected);
                    secs = start.checked_add(DAY);
                }
            }
        }
    }

    #[test]
    fn every_second_of_a_day() {
        for secs in 0..DAY {
            let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
            assert_eq!(date(secs), format!("Thu, 01 Jan 1970 {hour:02}:{minute:02}:{second:02} +0000"));
        }
    }

    #[test]
    fn whole_or_not_at_all() {
        let mut out = Vec::<u8, 32>::from_slice(b"a").unwrap();
        assert!(write_date(&mut out, 0));
        assert_eq!(out, b"aThu, 01 Jan 1970 00:00:00 +0000");
        let mut out = Vec::<u8, 32>::from_slice(b"ab").unwrap();
        assert!(!write_date(&mut out, 0));
        assert_eq!(out, b"ab");
    }
}
