package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import javax.sql.DataSource;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.transaction.support.TransactionTemplate;

/** Many orders at both ends, the ways to damage them so that nothing tells of it, and what verification says. */
final class Shop {

    /** How many orders {@link #sampled} makes. */
    static final int SAMPLED = 20;

    static final HttpClient HTTP = HttpClient.newHttpClient();

    final MiniProgram mini;
    final JdbcTemplate app;
    final String prefix;
    private final Supplier<String> url;
    private final TransactionTemplate transaction;

    /** At the ends that all tests share. */
    Shop(String prefix) {
        this(
                prefix,
                new DriverManagerDataSource(Neighbours.get().postgres.url(), "postgres", "postgres"),
                Neighbours.get().mini,
                served());
    }

    /** The service that all tests share; it is started where none was asked for yet. */
    private static Supplier<String> served() {
        String url = "http://127.0.0.1:"
                + Neighbours.get().service().getEnvironment().getProperty("local.server.port");
        return () -> url;
    }

    /** At the ends of services of its own. */
    Shop(String prefix, World world) {
        this(prefix, world.sessions, world.mini, world::url);
    }

    private Shop(String prefix, DataSource database, MiniProgram mini, Supplier<String> url) {
        this.app = new JdbcTemplate(database);
        this.transaction = new TransactionTemplate(new DataSourceTransactionManager(database));
        this.mini = mini;
        this.prefix = prefix;
        this.url = url;
    }

    String id(int n) {
        return prefix + n;
    }

    private static final String ORDERS = """
            insert into orders (order_id, user_id, status, payment_amount, carrier, tracking_number, payment_method,
              created_at, paid_at, deleted, updated_at)
            select '%1$s' || i, 'vu' || i %% 5000, 'shipped', i %% 10000 / 100.0, 'SF', 'SF' || i, 'wechat_pay',
              timestamptz '2020-01-01Z', timestamptz '2020-01-02Z', i > %3$d, %4$s
            from generate_series(1, %2$d) i;
            insert into order_items select '%1$s' || i, n, 'sku' || n, '茶' || i %% 100, n, 15.25
            from generate_series(1, %2$d) i, generate_series(1, 2) n""";

    /** What both ends hold of each order, and the digest by which each tells it; {@link #sampled} sees that it is so. */
    private static final String KNOWN = """
            create temporary table known on commit drop as
            select order_id as id, jsonb_build_object('user_id', user_id, 'status', status,
              'payment_amount', payment_amount, 'currency', currency, 'payment_method', payment_method,
              'created_at', '2020-01-01T00:00:00.000000Z', 'paid_at', '2020-01-02T00:00:00.000000Z',
              'shipping_info', jsonb_build_object('carrier', carrier, 'tracking_number', tracking_number),
              'items', jsonb_build_array(
                jsonb_build_object('line_no', 1, 'sku', 'sku1', 'title', title, 'quantity', 1, 'unit_price', 15.25),
                jsonb_build_object('line_no', 2, 'sku', 'sku2', 'title', title, 'quantity', 2, 'unit_price', 15.25)),
              'deleted', deleted)::json as held
            from orders, lateral (select '茶' || substr(tracking_number, 3)::int %% 100) as of (title)
            where starts_with(order_id, '%1$s');
            create temporary table digests (id text, system text, digest text) on commit drop""";

    private static final String MEMORY = """
            analyze known;
            analyze digests;
            create temporary view golden_of as
            select 'order' as entity, id, 1 as version, held, (
                select json_build_array(json_build_object('n', 1, 's', 'app', 't', '2020-01-01T00:00:00.000000Z', 'f',
                  (select json_agg(path) from json_object_keys(held) path)))
                from known limit 1) as origins,
              timestamptz '2020-01-01Z' as updated_at from known;
            create temporary view base_of as
            select 'order' as entity, id, system, true as known, true as present, held,
              '2020-01-01T00:00:00.000000Z' as position, nextval('sync.tick') as tick_began,
              nextval('sync.tick') as tick_ended, 1 as seen, timestamptz '2020-01-01Z' as observed_at, digest
            from known cross join unnest(array['app', 'mini']) system left join digests using (id, system)""";

    private static final String REMEMBERED = """
            insert into sync.golden (entity, id, version, held, origins, updated_at) select * from golden_of;
            insert into sync.base (entity, id, system, known, present, held, position, tick_began, tick_ended, seen,
              observed_at, digest) select * from base_of""";

    /**
     * Orders with two items each, the last ones deleted, that have been at both ends and in Twinsync's memory for long:
     * put there past all flows, which would take minutes, in the form that {@link #sampled} compares with the flows' own.
     *
     * @param digested whether the memory knows the digests, as it does after a first run; without them it is as after an
     *     upgrade
     */
    void load(int orders, int deleted, boolean digested) {
        mini.keepsWrites(false);
        transaction.executeWithoutResult(status -> {
            // sets of a million fit into memory, and the order of an item is not looked up
            app.execute("set local work_mem = '512MB'; set local session_replication_role = replica");
            app.execute(ORDERS.formatted(prefix, orders, orders - deleted, "timestamptz '2020-01-01Z'"));
            app.execute(KNOWN.formatted(prefix));
            // values that many orders share are one object, or a million orders would not fit
            Map<JsonNode, JsonNode> shared = new ConcurrentHashMap<>();
            List<String[]> known = new ArrayList<>();
            app.setFetchSize(5000);
            app.query("select id, held from known", row -> {
                known.add(new String[] {row.getString("id"), row.getString("held")});
                if (known.size() == 5000) {
                    fill(known, shared, digested);
                }
            });
            app.setFetchSize(-1);
            fill(known, shared, digested);
            if (digested) {
                app.update(toldByApp());
            }
            app.execute(MEMORY);
            app.execute(REMEMBERED);
        });
        // as tables are that have been there for long
        for (String table : List.of("orders", "order_items", "sync.golden", "sync.base")) {
            app.execute("vacuum analyze " + table);
        }
    }

    /** Puts records into the mini-program, several at a time, and tells their digests. */
    private void fill(List<String[]> known, Map<JsonNode, JsonNode> shared, boolean digested) {
        known.parallelStream().forEach(record -> {
            ObjectNode data = (ObjectNode) Json.read(record[1]);
            data.properties().forEach(field -> {
                if (!field.getKey().equals("shipping_info")) {
                    field.setValue(shared.computeIfAbsent(field.getValue(), value -> value));
                }
            });
            mini.fill("order", record[0], data);
        });
        if (digested) {
            told(known.stream().map(record -> record[0]).toList());
        }
        known.clear();
    }

    void load(int orders, int deleted) {
        captured();
        load(orders, deleted, false);
    }

    /** The first poll has been: one that is still to come would take what is damaged for what was always there. */
    void captured() {
        await().atMost(Duration.ofMinutes(2))
                .until(() -> app.queryForList(
                                        "select name from sync.cursor where name = 'poll-app-orders' and value ? 'at'",
                                        String.class)
                                .size()
                        == 1);
    }

    /** Keeps the digests that the mini-program tells. */
    private void told(List<String> ids) {
        app.update(
                "insert into digests select id, 'mini', digest from unnest(?::text[], ?::text[]) as u (id, digest)",
                ids.toArray(String[]::new),
                ids.stream().map(id -> mini.digest("order", id)).toArray(String[]::new));
    }

    /** The app's digests by the SQL that capture and verification read it with, run as one statement. */
    private static String toldByApp() {
        String read = file("routes/orders/read-app-orders.sql").replace("o.order_id = any (:?ids)", "true");
        return "insert into digests select found.id, 'app', found.digest from (" + read
                + ") as found join known using (id)";
    }

    /**
     * Makes a few orders at the app as {@link #load} does, but through the flows, and compares what these have written, at
     * the mini-program and into the memory, with what it would have put there.
     */
    void sampled() {
        String sample = "sampled-";
        app.execute(ORDERS.formatted(sample, SAMPLED, SAMPLED, "clock_timestamp()"));
        digested(sample);
        app.update(
                "update orders set deleted = true, updated_at = clock_timestamp() where order_id in ('sampled-1', 'sampled-2')");
        await().atMost(Duration.ofMinutes(1))
                .until(() -> mini.read("order", sample + 2).path("deleted").asBoolean());
        digested(sample);
        transaction.executeWithoutResult(status -> {
            app.execute(KNOWN.formatted(sample));
            told(app.queryForList("select id from known", String.class));
            app.update(toldByApp());
            app.execute(MEMORY);
            assertThat(app.queryForList("select id from known", String.class)).hasSize(SAMPLED);
            app.query("select id, held from known", row -> {
                JsonNode held = Json.read(row.getString("held"));
                JsonNode there = mini.read("order", row.getString("id"));
                assertThat(text(there)).isEqualTo(text(held));
                assertThat(names(there)).isEqualTo(names(held));
            });
            // a field that is not there is told as null where a base was written after it had been read
            assertThat(app.queryForList("""
                            select id, system, known, present, doubt, detail::text, waiting_for, refused, digest,
                              jsonb_strip_nulls(held::jsonb) as held from sync.base where id like 'sampled-%'
                            except
                            select id, system, known, present, false, null, null, null, digest,
                              jsonb_strip_nulls(held::jsonb) from base_of""")).isEmpty();
            assertThat(app.queryForList("""
                            select id, jsonb_strip_nulls(held::jsonb) as held from sync.golden where id like 'sampled-%'
                            except select id, jsonb_strip_nulls(held::jsonb) from golden_of""")).isEmpty();
            assertThat(app.queryForList(
                            "select distinct jsonb_object_keys(e) from sync.golden, jsonb_array_elements(origins::jsonb) e"
                                    + " where id like 'sampled-%' order by 1",
                            String.class))
                    .containsExactly("f", "n", "s", "t");
        });
    }

    private static Set<String> names(JsonNode data) {
        Set<String> names = new TreeSet<>();
        data.fieldNames().forEachRemaining(names::add);
        return names;
    }

    /** Waits until the sample is at both ends, all is quiet, and the ends' digests are known. */
    private void digested(String of) {
        await().atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofMillis(200))
                .untilAsserted(() -> assertThat(app.queryForObject("""
                                select count(*) from sync.base b where id like ? and present and not doubt
                                  and digest is not null and detail is null and not exists (
                                    select from sync.due d where d.entity = b.entity and d.id = b.id)""", Integer.class, of + "%"))
                        .isEqualTo(2 * SAMPLED));
    }

    private static String file(String path) {
        try {
            return Files.readString(Path.of(path));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Waits until nothing of this shop is under way. */
    void settled() {
        settled("order");
    }

    void settled(String entity) {
        await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofMillis(200))
                .untilAsserted(() -> assertThat(app.queryForList("""
                        select id, system, d.since, d.version as due_by, g.version, b.doubt, b.refused, b.waiting_for, b.tick_ended
                        from (select * from sync.due where entity = ? and id like ?) d
                        full join (select * from sync.base where entity = ? and id like ?) b using (entity, id, system)
                        left join sync.golden g using (entity, id)
                        where d.id is not null or b.doubt limit 5""", entity, prefix + "%", entity, prefix + "%"))
                        .isEmpty());
    }

    /** And what was written was read again: an echo that is still to come would show what is tampered with as an edit. */
    void echoed(String entity) {
        settled(entity);
        await().atMost(Duration.ofMinutes(2))
                .untilAsserted(() ->
                        assertThat(app.queryForList("""
                        select id, system from sync.base where entity = ? and id like ? and detail -> 'wrote' is not null
                        limit 5""", entity, prefix + "%")).isEmpty());
    }

    /** Takes everything of this shop away at once, as if it had never been. */
    void close() {
        transaction.executeWithoutResult(status -> {
            for (String table : List.of("order_items", "orders")) {
                app.update("delete from " + table + " where order_id like ?", prefix + "%");
            }
            for (String table : List.of("due", "base", "golden", "history")) {
                app.update("delete from sync." + table + " where id like ?", prefix + "%");
            }
        });
        mini.ids("order").stream().filter(id -> id.startsWith(prefix)).forEach(id -> mini.remove("order", id));
        mini.keepsWrites(true);
    }

    // -- verification

    JsonNode get(String path) {
        return call(HttpRequest.newBuilder(URI.create(url.get() + path)));
    }

    JsonNode post(String path, String body) {
        return call(HttpRequest.newBuilder(URI.create(url.get() + path)).POST(BodyPublishers.ofString(body)));
    }

    private JsonNode call(HttpRequest.Builder request) {
        try {
            HttpResponse<String> answer = HTTP.send(
                    request.header("Authorization", "Bearer ops-key")
                            .header("Content-Type", "application/json")
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
            return Json.read(answer.body());
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    long begin(String repair) {
        return post("/verifications", "{\"entity\":\"order\",\"repair\":\"" + repair + "\"}")
                .path("run")
                .asLong();
    }

    JsonNode ended(long run, String state) {
        // asked of the database: the API counts all differences for each answer
        await().atMost(Duration.ofMinutes(20))
                .pollInterval(Duration.ofMillis(100))
                .until(
                        () -> app.queryForObject(
                                "select state from sync.verification_run where run = ?", String.class, run),
                        List.of(state, "failed")::contains);
        JsonNode told = get("/verifications/" + run);
        assertThat(told.path("state").asText()).as(told.toString()).isEqualTo(state);
        return told;
    }

    /** What a run found, as "system kind id"; of other shops nothing. */
    /** What a run calls different, without what was never quiet. */
    Set<String> found(long run) {
        Set<String> found = new TreeSet<>();
        differences(run).stream()
                .filter(d -> !d.path("state").asText().equals("unverified"))
                .forEach(d -> found.add(d.path("system").asText()
                        + ' '
                        + d.path("kind").asText()
                        + ' '
                        + d.path("id").asText()));
        return found;
    }

    List<JsonNode> differences(long run) {
        List<JsonNode> all = new ArrayList<>();
        String next = "0";
        while (!next.equals("null")) {
            JsonNode page = get("/verifications/" + run + "/differences?limit=200&after=" + next);
            page.path("items").forEach(item -> {
                if (item.path("id").asText().startsWith(prefix)) {
                    all.add(item);
                }
            });
            next = page.path("next").asText();
        }
        return all;
    }

    // -- damage that nothing tells of

    private static final int KINDS = 14;

    /**
     * Damages records from number {@code from} on, a different way each; what was deleted is taken from {@code deleted}.
     *
     * @return what a run is to find, as "system kind id"
     */
    Set<String> plant(int count, int from, List<Integer> deleted) {
        Set<String> planted = new TreeSet<>();
        Set<String> used = new HashSet<>();
        List<Integer> dead = new ArrayList<>(deleted);
        Map<String, List<Object[]>> sql = new TreeMap<>();
        for (int i = 0; planted.size() < count; i++) {
            String id = id(from + i);
            if (!used.add(id)) {
                continue;
            }
            switch (i % KINDS) {
                case 0 -> {
                    damage(sql, "update orders set tracking_number = 'forged' || order_id where order_id = ?", id);
                    planted.add("app field " + id);
                }
                case 1 -> {
                    damage(sql, "update orders set status = 'paid' where order_id = ?", id);
                    planted.add("app status_back " + id);
                }
                case 2 -> {
                    damage(
                            sql,
                            "update order_items set quantity = quantity + 1 where line_no = 2 and order_id = ?",
                            id);
                    planted.add("app field " + id);
                }
                case 3 -> {
                    damage(sql, "delete from order_items where line_no = 1 and order_id = ?", id);
                    planted.add("app field " + id);
                }
                case 4 -> {
                    mini.tamper("order", id, Map.of("payment_amount", new BigDecimal("99999.99")));
                    planted.add("mini field " + id);
                }
                case 5 -> {
                    mini.tamper("order", id, Map.of("status", "pending_payment"));
                    planted.add("mini status_back " + id);
                }
                case 6 -> {
                    mini.remove("order", id);
                    planted.add("mini missing " + id);
                }
                case 7 -> {
                    mini.tamper("order", id, Map.of("deleted", true));
                    planted.add("mini deleted " + id);
                }
                case 8 -> {
                    mini.tamper("order", id, Map.of("items", List.of()));
                    planted.add("mini field " + id);
                }
                case 13 -> {
                    // two equal changes in one bucket, which must not cancel each other
                    int other = from + i + 1;
                    while (bucket(id(other)) != bucket(id) || !used.add(id(other))) {
                        other++;
                    }
                    for (String one : List.of(id, id(other))) {
                        mini.tamper("order", one, Map.of("payment_method", "cash"));
                        planted.add("mini field " + one);
                    }
                }
                case 9 -> {
                    int other = from + i + 1;
                    while (!used.add(id(other))) {
                        other++;
                    }
                    mini.swap("order", id, id(other));
                    planted.add("mini field " + id);
                    planted.add("mini field " + id(other));
                }
                case 11 -> {
                    String unknown = prefix + "surplus" + (from + i);
                    mini.tamper(
                            "order",
                            unknown,
                            Map.of("user_id", "u", "status", "paid", "payment_amount", 1, "deleted", false));
                    planted.add("mini surplus " + unknown);
                }
                default -> {
                    if (dead.isEmpty()) {
                        mini.tamper("order", id, Map.of("shipping_info", Map.of("carrier", "EMS")));
                        planted.add("mini field " + id);
                    } else {
                        String revived = id(dead.remove(dead.size() - 1));
                        if (planted.size() % 2 == 0) {
                            mini.tamper("order", revived, Map.of("deleted", false));
                            planted.add("mini deleted " + revived);
                        } else {
                            damage(sql, "update orders set deleted = false where order_id = ?", revived);
                            planted.add("app deleted " + revived);
                        }
                    }
                }
            }
        }
        sql.forEach(app::batchUpdate);
        return planted;
    }

    /** As the contract of the digests has it. */
    private static long bucket(String id) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(id.getBytes(StandardCharsets.UTF_8));
            return (ByteBuffer.wrap(hash).getInt() & 0xffffffffL) % 1024;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void damage(Map<String, List<Object[]>> sql, String statement, String id) {
        sql.computeIfAbsent(statement, s -> new ArrayList<>()).add(new Object[] {id});
    }

    /** Orders of this shop in which the two ends differ, by what they hold; for the end of a test. */
    List<String> unequal() {
        List<String> unequal = new ArrayList<>();
        Set<String> there = new HashSet<>(mini.ids("order"));
        there.removeIf(id -> !id.startsWith(prefix));
        transaction.executeWithoutResult(status -> {
            app.setFetchSize(5000);
            app.query(
                    """
                    select o.order_id as id, status, payment_amount, carrier, tracking_number, deleted,
                      (select string_agg(line_no || sku || title || quantity || unit_price, ',' order by line_no)
                       from order_items i where i.order_id = o.order_id) as items
                    from orders o where order_id like ?""",
                    row -> {
                        String id = row.getString("id");
                        boolean deleted = row.getBoolean("deleted");
                        JsonNode data = there.remove(id) ? mini.read("order", id) : null;
                        if (data == null
                                ? !deleted
                                : deleted != data.path("deleted").asBoolean()) {
                            unequal.add(id + (data == null ? " is not at the mini-program" : " deleted"));
                        } else if (!deleted && !text(row).equals(text(data))) {
                            unequal.add(id + ": " + text(row) + " / " + text(data));
                        }
                    },
                    prefix + "%");
            app.setFetchSize(-1);
        });
        for (String id : there) {
            if (!mini.read("order", id).path("deleted").asBoolean()) {
                unequal.add(id + " is not in the app");
            }
        }
        return unequal;
    }

    private static String text(ResultSet row) throws SQLException {
        return row.getString("status")
                + ' '
                + row.getBigDecimal("payment_amount")
                + ' '
                + row.getString("carrier")
                + ' '
                + row.getString("tracking_number")
                + ' '
                + row.getString("items");
    }

    private static String text(JsonNode data) {
        List<String> items = new ArrayList<>();
        data.path("items")
                .forEach(i -> items.add(i.path("line_no").asText()
                        + i.path("sku").asText()
                        + i.path("title").asText()
                        + i.path("quantity").asText()
                        + i.path("unit_price").decimalValue().setScale(2)));
        JsonNode shipping = data.path("shipping_info");
        return data.path("status").asText()
                + ' '
                + data.path("payment_amount").decimalValue().setScale(2)
                + ' '
                + shipping.path("carrier").asText(null)
                + ' '
                + shipping.path("tracking_number").asText(null)
                + ' '
                + (items.isEmpty() ? null : String.join(",", items));
    }
}
