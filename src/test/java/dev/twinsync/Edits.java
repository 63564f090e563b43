package dev.twinsync;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.devservices.MiniProgram;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import javax.sql.DataSource;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.transaction.TransactionException;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * What people and programs do at both ends with no regard for each other: each kind of edit, on a few users and orders,
 * drawn from a seed.
 */
public final class Edits {

    private static final int RECORDS = 40;

    /** Fewer in all than what the sweep takes for a mass deletion. */
    public static final int HARD_DELETES = 5;

    private static final List<String> NAMES = List.of("张三", " 李四 ", "王五", "e\u0301mile", "名字'; --", "小明", "𠮷野家");
    private static final List<String> LANGUAGES = List.of("zh-CN", "zh-cn", "en-US", "ja");
    private static final List<String> STAGES =
            List.of("pending_payment", "paid", "shipped", "delivered", "completed", "refunding", "refunded");

    private final JdbcTemplate app;
    private final MiniProgram mini;
    private final TransactionTemplate transaction;
    private final String users;
    private final String orders;
    private final AtomicInteger hardDeletes = new AtomicInteger();
    private final Map<String, AtomicInteger> made = new ConcurrentHashMap<>();

    private interface Edit {
        /** @return whether there was something to edit */
        boolean make();
    }

    /** @param prefix of the ids of all its records: users are {@code <prefix>u-…}, orders {@code <prefix>o-…} */
    public Edits(DataSource app, MiniProgram mini, String prefix) {
        this.app = new JdbcTemplate(app);
        this.mini = mini;
        this.transaction = new TransactionTemplate(new DataSourceTransactionManager(app));
        this.users = prefix + "u-";
        this.orders = prefix + "o-";
    }

    /** How many edits of each kind were made, such as {@code app user nickname}. */
    public Map<String, Integer> made() {
        Map<String, Integer> counts = new HashMap<>();
        made.forEach((kind, count) -> counts.put(kind, count.get()));
        return counts;
    }

    public int count() {
        return made.values().stream().mapToInt(AtomicInteger::get).sum();
    }

    public int hardDeletes() {
        return hardDeletes.get();
    }

    /** Makes one edit at an end, {@code app} or {@code mini}; one that finds nothing to edit is drawn again. */
    public void make(Random random, String end) {
        String kind;
        do {
            kind = kind(random, end);
        } while (!edit(random, kind).make());
        made.computeIfAbsent(kind, k -> new AtomicInteger()).incrementAndGet();
    }

    /** The same where the end may be away: what it did not take was no edit. */
    public void attempt(Random random, String end) {
        try {
            make(random, end);
        } catch (DataAccessException | TransactionException e) {
            // the database is away, and the edit with it
        }
    }

    private static String kind(Random random, String end) {
        boolean user = random.nextBoolean();
        String what =
                switch (random.nextInt(20)) {
                    case 0, 1, 2 -> "made";
                    case 3, 4, 5, 6, 7 -> user ? "nickname" : "status";
                    case 8, 9, 10, 11 -> user ? "phone" : "items";
                    case 12, 13, 14 -> user ? "notifications" : "amount";
                    case 15 -> user ? "language" : "carrier";
                    case 16 -> user ? "avatar" : "tracking";
                    case 17 -> user ? "unionid" : "payment";
                    case 18 -> random.nextInt(3) == 0 ? "deleted" : "made";
                    default -> end.equals("app") ? random.nextInt(2) == 0 ? "gone" : "revived" : "revived";
                };
        return end + (user ? " user " : " order ") + what;
    }

    private Edit edit(Random random, String kind) {
        String[] words = kind.split(" ");
        String id = (words[1].equals("user") ? users : orders) + random.nextInt(RECORDS);
        if (words[0].equals("app")) {
            return words[1].equals("user") ? appUser(random, id, words[2]) : appOrder(random, id, words[2]);
        }
        return words[1].equals("user") ? miniUser(random, id, words[2]) : miniOrder(random, id, words[2]);
    }

    // -- at the app

    private Edit appUser(Random random, String id, String what) {
        String name = pick(random, NAMES);
        String phone = spelled(random);
        String key = random.nextBoolean() ? "order" : "marketing";
        boolean value = random.nextBoolean();
        return switch (what) {
            case "made" ->
                () -> app.update(
                                "insert into users (user_id, nickname, phone) values (?, ?, ?) on conflict do nothing",
                                id,
                                name,
                                phone)
                        == 1;
            case "nickname" -> set("users", id, "nickname = ?", name);
            case "phone" -> set("users", id, "phone = ?", phone);
            case "notifications" ->
                random.nextInt(4) == 0
                        ? set("users", id, "notifications = notifications - ?", key)
                        : set("users", id, "notifications = notifications || jsonb_build_object(?, ?)", key, value);
            case "language" -> set("users", id, "language = ?", pick(random, LANGUAGES));
            case "avatar" -> set("users", id, "avatar = ?", avatar(random));
            case "unionid" -> set("users", id, "unionid = user_id || ?", "-" + random.nextInt(1_000_000_000));
            case "deleted" -> set("users", id, "deleted = true");
            case "revived" -> set("users", id, "deleted = false");
            default -> gone("users", id);
        };
    }

    private Edit appOrder(Random random, String id, String what) {
        String user = users + random.nextInt(RECORDS);
        BigDecimal amount = amount(random);
        List<Map<String, Object>> items = items(random);
        return switch (what) {
            case "made" ->
                () -> app.update(
                                "insert into orders (order_id, user_id, status, payment_amount)"
                                        + " values (?, ?, 'pending_payment', ?) on conflict do nothing",
                                id,
                                user,
                                amount)
                        == 1;
            case "status" ->
                set(
                        "orders",
                        id,
                        "status = case status when 'pending_payment' then 'paid' when 'paid' then 'shipped'"
                                + " when 'shipped' then 'delivered' when 'delivered' then ? when 'completed' then 'refunding'"
                                + " when 'refunding' then 'refunded' else status end",
                        random.nextBoolean() ? "completed" : "refunding");
            case "items" ->
                () -> Boolean.TRUE.equals(transaction.execute(status -> {
                    if (!set("orders", id, "order_id = order_id").make()) {
                        return false;
                    }
                    app.update("delete from order_items where order_id = ?", id);
                    items.forEach(item -> app.update(
                            "insert into order_items values (?, ?, ?, ?, ?, ?)",
                            id,
                            item.get("line_no"),
                            item.get("sku"),
                            item.get("title"),
                            item.get("quantity"),
                            item.get("unit_price")));
                    return true;
                }));
            case "amount" -> set("orders", id, "payment_amount = ?", amount);
            case "carrier" -> set("orders", id, "carrier = ?", pick(random, List.of("顺丰", "SF", "ZTO", "某快递")));
            case "tracking" -> set("orders", id, "tracking_number = ?", "T" + random.nextInt(1000));
            case "payment" -> set("orders", id, "payment_method = ?", random.nextBoolean() ? "wechat_pay" : "alipay");
            case "deleted" -> set("orders", id, "deleted = true");
            case "revived" -> set("orders", id, "deleted = false");
            default -> gone("orders", id);
        };
    }

    private Edit set(String table, String id, String assignment, Object... values) {
        List<Object> arguments = new ArrayList<>(List.of(values));
        arguments.add(id);
        String key = table.substring(0, table.length() - 1) + "_id";
        return () -> app.update(
                        "update " + table + " set " + assignment + ", updated_at = clock_timestamp() where " + key
                                + " = ?",
                        arguments.toArray())
                == 1;
    }

    private Edit gone(String table, String id) {
        String key = table.substring(0, table.length() - 1) + "_id";
        return () -> {
            long already = made.getOrDefault(
                            table.equals("users") ? "app user gone" : "app order gone", new AtomicInteger())
                    .get();
            if (already >= HARD_DELETES || app.update("delete from " + table + " where " + key + " = ?", id) == 0) {
                return false;
            }
            hardDeletes.incrementAndGet();
            return true;
        };
    }

    // -- at the mini-program

    private Edit miniUser(Random random, String id, String what) {
        Map<String, Object> fields = new HashMap<>();
        switch (what) {
            case "made" -> {
                fields.put("nickname", pick(random, NAMES));
                fields.put("phone", spelled(random));
            }
            case "nickname" -> fields.put("nickname", pick(random, NAMES));
            case "phone" -> fields.put("phone", random.nextInt(5) == 0 ? null : spelled(random));
            case "language" -> fields.put("language", pick(random, LANGUAGES));
            case "avatar" -> fields.put("avatar", avatar(random));
            case "unionid" -> fields.put("unionid", id + "-" + random.nextInt(1_000_000_000));
            case "deleted" -> fields.put("deleted", true);
            case "revived" -> fields.put("deleted", false);
            default -> {
                JsonNode held = mini.read("user", id);
                ObjectNode keys = held != null && held.path("notifications") instanceof ObjectNode object
                        ? object.deepCopy()
                        : dev.twinsync.record.Json.MAPPER.createObjectNode();
                keys.put(pick(random, List.of("order", "marketing", "night")), random.nextBoolean());
                fields.put("notifications", keys);
            }
        }
        return at("user", id, what, fields);
    }

    private Edit miniOrder(Random random, String id, String what) {
        Map<String, Object> fields = new HashMap<>();
        switch (what) {
            case "made" -> {
                fields.put("user_id", users + random.nextInt(RECORDS));
                fields.put("status", "pending_payment");
                fields.put("payment_amount", amount(random));
                fields.put("items", items(random));
            }
            case "status" -> {
                JsonNode held = mini.read("order", id);
                int stage =
                        held == null ? -1 : STAGES.indexOf(held.path("status").asText());
                if (stage + 1 < STAGES.size()) {
                    fields.put("status", STAGES.get(stage + 1));
                }
            }
            case "items" -> fields.put("items", items(random));
            case "amount" -> fields.put("payment_amount", amount(random));
            case "payment" -> fields.put("payment_method", random.nextBoolean() ? "wechat_pay" : "alipay");
            case "deleted" -> fields.put("deleted", true);
            case "revived" -> fields.put("deleted", false);
            default ->
                fields.put(
                        "shipping_info",
                        Map.of("carrier", pick(random, List.of("顺丰", "SF", "ZTO")), "tracking_number", "M1"));
        }
        return at("order", id, what, fields);
    }

    private Edit at(String entity, String id, String what, Map<String, Object> fields) {
        return () -> {
            if (fields.isEmpty() || what.equals("made") != (mini.read(entity, id) == null)) {
                return false;
            }
            mini.edit(entity, id, fields);
            return true;
        };
    }

    // -- values

    private static <T> T pick(Random random, List<T> list) {
        return list.get(random.nextInt(list.size()));
    }

    /** One of a few numbers, in one of the ways in which people write it. */
    private static String spelled(Random random) {
        String number = "1380013800" + random.nextInt(10);
        return switch (random.nextInt(5)) {
            case 0 -> number;
            case 1 -> "+86" + number;
            case 2 -> "0" + number;
            case 3 -> number.substring(0, 3) + ' ' + number.substring(3, 7) + '-' + number.substring(7);
            default -> "0086 " + number;
        };
    }

    private static String avatar(Random random) {
        return "https://img.example.com/" + random.nextInt(100) + ".jpg";
    }

    private static BigDecimal amount(Random random) {
        return BigDecimal.valueOf(random.nextInt(1_000_000), 2);
    }

    private static List<Map<String, Object>> items(Random random) {
        List<Map<String, Object>> items = new ArrayList<>();
        for (int line = 1; line <= random.nextInt(4); line++) {
            items.add(Map.of(
                    "line_no",
                    line,
                    "sku",
                    "S" + random.nextInt(100),
                    "title",
                    pick(random, NAMES),
                    "quantity",
                    1 + random.nextInt(9),
                    "unit_price",
                    amount(random)));
        }
        return items;
    }
}
