package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.Edits;
import dev.twinsync.devservices.MiniProgram;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.dao.DataAccessException;

/**
 * Changes at both ends and by pushes, until it is told to end. Some records have one writer each, who numbers what it
 * states: the last number that was acknowledged has to stand at both ends, and no number may ever be followed by a lower
 * one. On others both ends edit at once whatever they like.
 */
final class Load implements AutoCloseable {

    private static final int RECORDS = 12;

    private final Rig rig;
    private final int pause;
    private final Edits edits;
    private final List<Thread> threads = new ArrayList<>();
    private final AtomicInteger number = new AtomicInteger();
    private final AtomicInteger changes = new AtomicInteger();

    /** Record to the last number that its end, or Twinsync, has taken. */
    private final Map<String, Integer> acknowledged = new ConcurrentHashMap<>();

    /** Pushed records whose last push may or may not have been taken, and its number: they are pushed no more. */
    private final Map<String, Integer> unknown = new ConcurrentHashMap<>();

    private final Set<Throwable> failures = ConcurrentHashMap.newKeySet();
    private final CountDownLatch ending = new CountDownLatch(1);

    /** @param pause of each of five writers between two changes, in milliseconds */
    Load(Rig rig, int pause) {
        this.rig = rig;
        this.pause = pause;
        this.edits = new Edits(rig.app.getDataSource(), rig.mini, "con-");
        watchTheApp();
        writer(1, random -> atTheApp(random, "user"));
        writer(2, random -> atTheApp(random, "order"));
        writer(3, this::atTheMini);
        writer(4, this::pushed);
        writer(5, random -> edits.attempt(random, random.nextBoolean() ? "app" : "mini"));
    }

    /** What the app's rows went through in the field that is numbered, kept by the database itself. */
    private void watchTheApp() {
        rig.app.execute("""
                create table watched (seq bigint generated always as identity, id text, was text, now text, writer text);
                create function watch() returns trigger language plpgsql as $$
                begin
                  insert into watched (id, was, now, writer) values (
                    tg_argv[0] || '/' || (to_jsonb(new) ->> tg_argv[1]), to_jsonb(old) ->> tg_argv[2],
                    to_jsonb(new) ->> tg_argv[2], current_setting('application_name'));
                  return new;
                end $$;
                create trigger watch after update on users for each row
                when (new.user_id like 'num-%') execute function watch('user', 'user_id', 'nickname');
                create trigger watch after update on orders for each row
                when (new.order_id like 'num-app-%') execute function watch('order', 'order_id', 'tracking_number')""");
    }

    private interface Act {
        void once(Random random);
    }

    private void writer(int n, Act act) {
        Random random = new Random(rig.seed + n);
        Thread thread = new Thread(
                () -> {
                    try {
                        while (ending.getCount() > 0) {
                            act.once(random);
                            ending.await(pause / 2 + random.nextInt(pause), TimeUnit.MILLISECONDS);
                        }
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    } catch (RuntimeException | Error e) {
                        failures.add(e);
                    }
                },
                "load-" + n);
        threads.add(thread);
        thread.start();
    }

    private static String numbered(int number) {
        return String.format("%07d", number);
    }

    private void atTheApp(Random random, String entity) {
        String id = "num-app-" + random.nextInt(RECORDS);
        int n = number.incrementAndGet();
        try {
            if (entity.equals("user")) {
                rig.app.update("""
                        insert into users (user_id, nickname, phone) values (?, ?, '13800138000')
                        on conflict (user_id) do update set nickname = excluded.nickname, updated_at = clock_timestamp()""", id, numbered(n));
            } else {
                rig.app.update("""
                        insert into orders (order_id, user_id, status, payment_amount, tracking_number)
                        values (?, 'u', 'paid', 1, ?) on conflict (order_id)
                        do update set tracking_number = excluded.tracking_number, updated_at = clock_timestamp()""", id, numbered(n));
            }
            taken(entity + '/' + id, n);
            unknown.remove(entity + '/' + id);
        } catch (DataAccessException e) {
            // the database is away; whether it took this one will be seen by the next, of which this run waits for one
            unknown.put(entity + '/' + id, n);
        }
    }

    private void atTheMini(Random random) {
        String entity = random.nextBoolean() ? "user" : "order";
        String id = "num-mini-" + random.nextInt(RECORDS);
        int n = number.incrementAndGet();
        if (entity.equals("user")) {
            rig.mini.edit(entity, id, Map.of("nickname", numbered(n)));
        } else {
            rig.mini.edit(
                    entity,
                    id,
                    Map.of(
                            "user_id",
                            "u",
                            "status",
                            "paid",
                            "payment_amount",
                            new BigDecimal("2.50"),
                            "items",
                            List.of(Map.of(
                                    "line_no",
                                    1,
                                    "sku",
                                    "a",
                                    "title",
                                    numbered(n),
                                    "quantity",
                                    1,
                                    "unit_price",
                                    new BigDecimal("2.50")))));
        }
        taken(entity + '/' + id, n);
    }

    private void pushed(Random random) {
        if (rig.instances.isEmpty()) {
            return;
        }
        Instance instance = rig.instances.get(random.nextInt(rig.instances.size()));
        // a push whose outcome isn't known may still arrive: its record is left alone, and another takes its place
        String id = "num-push-" + (random.nextInt(RECORDS) + unknown.size() * RECORDS);
        int n = number.incrementAndGet();
        int status =
                instance.push("user", "{\"user_id\":\"" + id + "\",\"data\":{\"nickname\":\"" + numbered(n) + "\"}}");
        if (status == 202) {
            taken("user/" + id, n);
        } else if (status != Instance.NOBODY) {
            unknown.put("user/" + id, n);
        }
    }

    private void taken(String record, int n) {
        acknowledged.put(record, n);
        changes.incrementAndGet();
    }

    /** Changes that were made and acknowledged so far. */
    int count() {
        return changes.get() + edits.count();
    }

    /** Ends the load; every writer has done its last. */
    @Override
    public void close() throws InterruptedException {
        ending.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(failures).isEmpty();
    }

    /** Of what was acknowledged, what is not at both ends: to be asked when all is quiet. */
    List<String> lost() {
        List<String> lost = new ArrayList<>();
        acknowledged.forEach((record, last) -> {
            String entity = record.substring(0, record.indexOf('/'));
            String id = record.substring(record.indexOf('/') + 1);
            for (Map.Entry<String, Integer> held : held(entity, id).entrySet()) {
                Integer maybe = unknown.get(record);
                if (!last.equals(held.getValue()) && !(maybe != null && maybe.equals(held.getValue()))) {
                    lost.add(record + ": " + last + " was acknowledged, " + held.getKey() + " has " + held.getValue());
                }
            }
        });
        return lost;
    }

    private Map<String, Integer> held(String entity, String id) {
        Map<String, Integer> held = new HashMap<>();
        held.put(
                "app",
                number(rig.app.queryForList(sql(entity, id), String.class, id).stream()
                        .findFirst()
                        .orElse(null)));
        JsonNode data = rig.mini.read(entity, id);
        held.put("mini", data == null ? -1 : number(number(data)));
        return held;
    }

    private static String sql(String entity, String id) {
        if (entity.equals("user")) {
            return "select nickname from users where user_id = ?";
        }
        return id.startsWith("num-app")
                ? "select tracking_number from orders where order_id = ?"
                : "select title from order_items where order_id = ?";
    }

    private static String number(JsonNode data) {
        JsonNode items = data.path("items");
        return data.has("nickname")
                ? data.path("nickname").asText()
                : items.isEmpty()
                        ? data.path("shipping_info").path("tracking_number").asText(null)
                        : items.path(0).path("title").asText();
    }

    private static int number(String text) {
        return text == null ? -1 : Integer.parseInt(text);
    }

    /** What either end saw that it should never see: numbers that go back, and writes that change nothing. */
    List<String> wrong() {
        List<String> wrong = new ArrayList<>();
        Map<String, Integer> last = new HashMap<>();
        for (MiniProgram.Write write : rig.mini.writes()) {
            // one who thaws asks once more for what another has done, and overtaken, since: that has no effect
            if (write.code() == 0 && !write.again() && write.id().startsWith("num-")) {
                String text = number(write.data());
                if (text != null) {
                    back("mini", write.entity() + '/' + write.id(), number(text), last, wrong, " by " + write.key());
                }
            }
        }
        rig.app.query("select id, was, now, writer from watched order by seq", row -> {
            if (row.getString("writer").startsWith("twinsync")) {
                String now = row.getString("now");
                if (now.equals(row.getString("was"))) {
                    wrong.add("app: " + row.getString("id") + " was written with what it held, " + now);
                }
                back("app", row.getString("id"), number(now), last, wrong, "");
            }
        });
        for (Map.Entry<String, Integer> count : Map.of(
                        "writes that changed nothing", rig.mini.echoes(),
                        "writes of an older version", rig.mini.backwards())
                .entrySet()) {
            if (count.getValue() > 0) {
                wrong.add("mini: " + count.getValue() + ' ' + count.getKey());
            }
        }
        rig.mini.violations().forEach(one -> wrong.add("mini: a key with another body: " + one));
        rig.mini.concurrent().stream()
                .filter(one -> one.after().compareTo(Rig.PATIENCE) < 0)
                .forEach(one -> wrong.add("mini: " + one));
        return wrong;
    }

    private static void back(
            String end, String record, int number, Map<String, Integer> last, List<String> wrong, String how) {
        Integer former = last.put(end + ' ' + record, number);
        if (former != null && former > number) {
            wrong.add(end + ": " + record + " went back from " + former + " to " + number + how);
        }
    }
}
