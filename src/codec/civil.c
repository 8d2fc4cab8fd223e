/* civil: see civil.h. The conversions count years from March, so that the leap day is the last of
 * a year, and eras of 400 years, each of 146,097 days. */
#include "codec/civil.h"

#include "base/err.h"

int64_t civil_to_days(int year, int month, int day)
{
    int64_t y = month <= 2 ? (int64_t)year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t mp = month > 2 ? month - 3 : month + 9;
    int64_t doy = (153 * mp + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil civil_from_days(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    return (struct civil){(int)year, (int)month, (int)(doy - (153 * mp + 2) / 5 + 1)};
}

int civil_days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    invariant(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && leap);
}

void civil_format_date(int64_t days, char out[10])
{
    struct civil c = civil_from_days(days);
    invariant(c.year >= 0 && c.year <= CIVIL_YEAR_MAX);
    civil_put2(out, (unsigned)c.year / 100);
    civil_put2(out + 2, (unsigned)c.year % 100);
    out[4] = '-';
    civil_put2(out + 5, (unsigned)c.month);
    out[7] = '-';
    civil_put2(out + 8, (unsigned)c.day);
}

size_t civil_format_us(int64_t us, char out[CIVIL_TEXT_MAX])
{
    int64_t days = us / CIVIL_DAY_US - (us % CIVIL_DAY_US < 0);
    int64_t in_day = us - days * CIVIL_DAY_US;
    unsigned s = (unsigned)(in_day / 1000000), micros = (unsigned)(in_day % 1000000);
    size_t n = 19;
    civil_format_date(days, out);
    out[10] = 'T';
    civil_put2(out + 11, s / 3600);
    out[13] = ':';
    civil_put2(out + 14, s / 60 % 60);
    out[16] = ':';
    civil_put2(out + 17, s % 60);
    if (micros) {
        out[n++] = '.';
        for (unsigned i = 0; i < 3; i++, n += 2)
            civil_put2(out + n, micros / (i == 0 ? 10000 : i == 1 ? 100 : 1) % 100);
    }
    out[n++] = 'Z';
    out[n] = 0;
    return n;
}

/* The number of exactly `n` digits at p, or -1. */
static int digits(const char *p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

bool civil_parse_date(const char *p, size_t n, int64_t *days)
{
    if (n != 10 || p[4] != '-' || p[7] != '-')
        return false;
    int y = digits(p, 4), m = digits(p + 5, 2), d = digits(p + 8, 2);
    if (y < 0 || m < 1 || m > 12 || d < 1 || d > civil_days_in_month(y, m))
        return false;
    *days = civil_to_days(y, m, d);
    return true;
}

/* Seconds east of UTC at p..p+n: nothing, "Z" or "+HH:MM". */
static bool parse_zone(const char *p, size_t n, int64_t *east)
{
    *east = 0;
    if (n == 0 || (n == 1 && p[0] == 'Z'))
        return true;
    if (n != 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':')
        return false;
    int h = digits(p + 1, 2), m = digits(p + 4, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59)
        return false;
    *east = (h * 3600 + m * 60) * (p[0] == '-' ? -1 : 1);
    return true;
}

bool civil_parse_us(const char *p, size_t n, int64_t *us)
{
    int64_t days, east, frac = 0;
    if (n < 10 || !civil_parse_date(p, 10, &days))
        return false;
    *us = days * CIVIL_DAY_US;
    if (n == 10)
        return true;
    if (n < 16 || (p[10] != 'T' && p[10] != ' ') || p[13] != ':')
        return false;
    int h = digits(p + 11, 2), m = digits(p + 14, 2), s = 0;
    size_t at = 16;
    if (at + 3 <= n && p[at] == ':') {
        s = digits(p + at + 1, 2);
        at += 3;
        if (at + 1 < n && p[at] == '.' && p[at + 1] >= '0' && p[at + 1] <= '9') {
            int64_t unit = 100000;
            for (at++; at < n && p[at] >= '0' && p[at] <= '9'; at++, unit /= 10)
                frac += (p[at] - '0') * unit;
        }
    }
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
        return false;
    if (!parse_zone(p + at, n - at, &east))
        return false;
    *us += (h * INT64_C(3600) + m * 60 + s - east) * 1000000 + frac;
    return true;
}
