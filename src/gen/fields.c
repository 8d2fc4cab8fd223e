/* gen fields: see fields.h. Kept apart from the code, so that what the events look like can be read
 * and changed in one place. */
#include "gen/fields.h"

#include <stddef.h>

#define COUNT(a) ((unsigned)(sizeof(a) / sizeof(*(a))))
#define W(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
#define WORDS(name, ...)                                                                           \
    static const struct word name##_list[] = {__VA_ARGS__};                                        \
    static const struct words name = {name##_list, COUNT(name##_list)}
#define F(k, kind_, ...)                                                                           \
    {                                                                                              \
        .key = ",\"" k "\":", .key_n = sizeof(",\"" k "\":") - 1, .kind = FIELD_##kind_,           \
        __VA_ARGS__                                                                                \
    }

static const struct word prose_list[] = {
    W("the"),
    W("order"),
    W("was"),
    W("shipped"),
    W("late"),
    W("and"),
    W("customer"),
    W("asked"),
    W("for"),
    W("refund"),
    W("quick"),
    W("delivery"),
    W("blue"),
    W("shoes"),
    W("size"),
    W("medium"),
    W("great"),
    W("quality"),
    W("never"),
    W("again"),
    W("would"),
    W("buy"),
    W("from"),
    W("them"),
    W("Zürich"),
    W("naïve"),
    W("café"),
    W("東京"),
    W("Привет"),
    W("señor"),
    W("😀"),
    W("crème brûlée"),
    W("\\\"quoted\\\""),
    W("back\\\\slash"),
    W("tab\\there"),
    W("line\\nbreak"),
    W("\\u00e9t\\u00e9"),
    W("\\ud83d\\ude80"),
    W("a\\/b"),
    W("&amp;"),
    W("<b>"),
    W("100%"),
    W("it's"),
    W("x=1,y=2"),
    W("please"),
    W("contact"),
    W("support"),
    W("with"),
    W("your"),
    W("receipt"),
    W("number"),
    W("thank"),
    W("you"),
    W("arrived"),
    W("today"),
    W("in"),
    W("perfect"),
    W("condition"),
    W("but"),
    W("box"),
    W("damaged"),
    W("slightly"),
    W("smaller"),
    W("than"),
};
const struct words gen_prose = {prose_list, COUNT(prose_list)};

static const struct word slug_list[] = {
    W("running-shoes"), W("coffee-grinder"), W("desk-lamp"),   W("wool-sweater"),
    W("garden-hose"),   W("board-game"),     W("headphones"),  W("backpack"),
    W("tea-kettle"),    W("notebook"),       W("bike-helmet"), W("rain-jacket"),
    W("water-bottle"),  W("phone-case"),     W("keyboard"),    W("yoga-mat"),
};
const struct words gen_slugs = {slug_list, COUNT(slug_list)};

WORDS(platforms, W("web"), W("web"), W("web"), W("ios"), W("ios"), W("android"), W("android"),
      W("tv"));
WORDS(countries, W("US"), W("US"), W("US"), W("GB"), W("DE"), W("FR"), W("JP"), W("BR"), W("IN"),
      W("CA"), W("ES"), W("CH"));
WORDS(currencies, W("USD"), W("USD"), W("USD"), W("EUR"), W("EUR"), W("GBP"), W("JPY"), W("CHF"));
WORDS(statuses, W("pending"), W("active"), W("active"), W("completed"), W("completed"), W("failed"),
      W("cancelled"));
WORDS(browsers, W("Chrome"), W("Chrome"), W("Safari"), W("Firefox"), W("Edge"));
WORDS(versions, W("5.12.0"), W("5.12.1"), W("5.13.0"), W("5.14.0-beta.2"), W("6.0.0"));
WORDS(cities, W("New York"), W("London"), W("Berlin"), W("Zürich"), W("東京"), W("São Paulo"),
      W("Paris"), W("Mumbai"), W("Montréal"), W("M\\u00fcnchen"));
WORDS(methods, W("card"), W("card"), W("paypal"), W("apple_pay"), W("invoice"), W("sepa"));
WORDS(tags, W("new"), W("sale"), W("vip"), W("returning"), W("mobile"), W("newsletter"), W("b2b"),
      W("trial"), W("été"), W("gift"));
WORDS(variants, W("control"), W("A"), W("B"), W("C"));
WORDS(levels, W("debug"), W("info"), W("info"), W("warn"), W("error"));
WORDS(user_prefix, W("usr_"));
WORDS(session_prefix, W("s-"));
WORDS(sku_prefix, W("SKU-"));
WORDS(campaign_prefix, W("cmp/"));
WORDS(trace_prefix, W(""));

static const struct field device_fields[] = {
    F("os", ENUM, .words = &platforms),
    F("browser", ENUM, .words = &browsers, .absent = 64),
    F("width", INT, .lo = 320, .span = 2000),
    F("touch", BOOL, .null = 16),
};
static const struct field geo_fields[] = {
    F("country", ENUM, .words = &countries),
    F("city", ENUM, .words = &cities, .absent = 30, .null = 10),
    F("lat", FLOAT, .lo = -90, .span = 180),
    F("lon", FLOAT, .lo = -180, .span = 360),
};
static const struct field item_fields[] = {
    F("sku", ID, .words = &sku_prefix, .span = 5000),
    F("quantity", INT, .lo = 1, .span = 5),
    F("price", MONEY, .span = 20000),
    F("gift", BOOL, .absent = 180),
};
static const struct field address_fields[] = {
    F("city", ENUM, .words = &cities),
    F("geo", OBJECT, .children = geo_fields, .child_count = 4, .absent = 128),
    F("zip", INT, .lo = 1000, .span = 98000, .null = 20),
};
static const struct field customer_fields[] = {
    F("id", BIG, .lo = 0),
    F("tier", ENUM, .words = &variants, .null = 40),
    F("address", OBJECT, .children = address_fields, .child_count = 3, .absent = 100),
};
static const struct field step_fields[] = {
    F("name", ENUM, .words = &statuses),
    F("ms", INT, .lo = 0, .span = 3000),
    F("codes", INTS, .span = 3, .absent = 128),
};

const struct field gen_common[] = {
    F("user_id", ID, .words = &user_prefix, .span = 50000, .null = 12),
    F("session_id", ID, .words = &session_prefix, .span = 1ull << 40, .absent = 25),
    F("platform", ENUM, .words = &platforms),
};
const unsigned gen_common_count = COUNT(gen_common);

const struct field gen_pool[] = {
    F("amount", MONEY, .span = 100000),
    F("currency", ENUM, .words = &currencies),
    F("items", ITEMS, .span = 4, .children = item_fields, .child_count = 4),
    F("tags", TAGS, .span = 4, .words = &tags, .absent = 60),
    F("device", OBJECT, .children = device_fields, .child_count = 4),
    F("page_url", URL, .absent = 10),
    F("status", ENUM, .words = &statuses),
    F("account_number", BIG, .lo = 0),
    F("comment", TEXT, .span = 8, .absent = 90, .null = 30),
    F("duration_ms", INT, .lo = 0, .span = 60000),
    F("score", FLOAT, .lo = 0, .span = 1),
    F("is_test", BOOL, .absent = 128),
    F("geo", OBJECT, .children = geo_fields, .child_count = 4, .null = 20),
    F("referrer", URL, .absent = 100, .null = 40),
    F("ip", IP),
    F("payment_method", ENUM, .words = &methods),
    F("customer", OBJECT, .children = customer_fields, .child_count = 3),
    F("position", INT, .lo = -5, .span = 40),
    F("server_time", TIME),
    F("scores", INTS, .span = 5, .absent = 40),
    F("campaign", ID, .words = &campaign_prefix, .span = 200, .absent = 150),
    F("appVersion", ENUM, .words = &versions),
    F("experiment", ENUM, .words = &variants, .later = true),
    F("title", TEXT, .span = 5),
    F("steps", ITEMS, .span = 3, .children = step_fields, .child_count = 3, .absent = 60),
    F("discount", MONEY, .span = 5000, .null = 128),
    F("log-level", ENUM, .words = &levels),
    F("consent", BOOL, .later = true),
    F("retries", INT, .lo = 0, .span = 4, .absent = 128),
    F("trace", ID, .words = &trace_prefix, .span = 1ull << 47),
    F("loyalty_points", INT, .lo = 0, .span = 100000, .later = true, .null = 20),
    F("visitor.count", INT, .lo = 0, .span = 1000000),
    F("ratio", FLOAT, .lo = -1, .span = 2, .null = 10),
    F("shipping", OBJECT, .children = address_fields, .child_count = 3, .later = true),
    F("größe", INT, .lo = 30, .span = 20, .absent = 100),
    F("query", TEXT, .span = 4),
};
const unsigned gen_pool_count = COUNT(gen_pool);

const char *const gen_types[] = {
    "page_view",   "click",    "search", "order",    "session", "cart",      "payment",
    "login",       "video",    "email",  "ad",       "push",    "signup",    "refund",
    "api.request", "shipment", "review", "checkout", "error",   "MobileApp",
};
const unsigned gen_type_count = COUNT(gen_types);
const char *const gen_subtypes[] = {
    "created", "updated", "viewed", "started", "completed", "failed",  "opened", "closed",
    "deleted", "shared",  "added",  "removed", "expired",   "retried", "paused", "Resumed",
};
const unsigned gen_subtype_count = COUNT(gen_subtypes);
const char *const gen_thirds[] = {"web", "ios", "android", "v2", "partner"};
const unsigned gen_third_count = COUNT(gen_thirds);
