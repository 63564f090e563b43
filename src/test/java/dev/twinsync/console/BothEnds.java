package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.MiniProgram;
import java.security.Principal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import javax.sql.DataSource;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.config.BeanPostProcessor;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.support.AbstractResourceBasedMessageSource;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestParam;

/**
 * The app's tables and the mini-program side by side, each editable: what is changed on one side is watched until it has
 * arrived on the other. Only where both ends are of the dev services.
 */
@Controller
@ConditionalOnBean(MiniProgram.class)
@ConditionalOnProperty("twinsync.dev")
class BothEnds {

    static final List<String> USERS = List.of("123456", "200002", "200003");
    static final List<String> ORDERS = List.of("789012", "800042", "800103", "800106");

    private static final List<String> STAGES = List.of("pending_payment", "paid", "shipped", "delivered", "completed");
    private static final Duration LONGEST = Duration.ofMinutes(5);
    private static final int ARRIVALS = 6;

    /** Its place in the navigation, and its words. */
    @Configuration
    @ConditionalOnBean(MiniProgram.class)
    @ConditionalOnProperty("twinsync.dev")
    static class Place {

        @Bean
        Shell.Section bothEndsSection() {
            return new Shell.Section("demo", "/console/demo");
        }

        @Bean
        static BeanPostProcessor bothEndsWords() {
            return new BeanPostProcessor() {
                @Override
                public Object postProcessAfterInitialization(Object bean, String name) {
                    if (name.equals("messageSource") && bean instanceof AbstractResourceBasedMessageSource messages) {
                        messages.addBasenames("both-ends");
                    }
                    return bean;
                }
            };
        }
    }

    /** A change on its way, and the milliseconds from its commit until it was seen at the other end; null until then. */
    public record Arrival(
            String entity, String id, String from, String to, String field, String value, Instant at, Long ms) {}

    /**
     * A user or an order at one end.
     *
     * @param next the status that may be set next, or null
     * @param arrived milliseconds of the newest change that came here within the last seconds, or null
     * @param letter the open letter of the record, or null
     */
    public record Row(
            String id,
            boolean there,
            String text,
            String status,
            String next,
            String more,
            Long arrived,
            Long letter) {}

    private final JdbcTemplate app;
    private final JdbcTemplate sync;
    private final MiniProgram mini;
    private final Deque<Arrival> arrivals = new ArrayDeque<>();
    private final Set<String> mended = ConcurrentHashMap.newKeySet();
    private final ScheduledExecutorService watching = Executors.newScheduledThreadPool(2, run -> {
        Thread thread = new Thread(run, "both-ends");
        thread.setDaemon(true);
        return thread;
    });

    BothEnds(@Qualifier("appPool") DataSource app, JdbcTemplate sync, MiniProgram mini) {
        this.app = new JdbcTemplate(app);
        this.sync = sync;
        this.mini = mini;
    }

    @GetMapping("/console/demo")
    String page(Model page) {
        fill(page);
        return "both-ends";
    }

    /** One side, which refreshes itself. */
    @GetMapping("/console/demo/{side:app|mini|arrivals}")
    String side(@PathVariable String side, Model page) {
        fill(page);
        return "both-ends :: " + side;
    }

    @PostMapping("/console/demo/{side:app|mini}/user/{id}")
    String nickname(
            @PathVariable String side,
            @PathVariable String id,
            @RequestParam String nickname,
            @RequestHeader(name = "HX-Request", required = false) String htmx,
            Model page) {
        String value = nickname.strip();
        if (side.equals("app")) {
            app.update(
                    "update users set nickname = ?, updated_at = clock_timestamp() where user_id = ?",
                    value,
                    known(USERS, id));
            watch("user", id, "app", "mini", "nickname", value, () -> {
                JsonNode there = mini.read("user", id);
                return there != null && there.path("nickname").asText().equals(value);
            });
        } else {
            mini.edit("user", known(USERS, id), Map.of("nickname", value));
            watch("user", id, "mini", "app", "nickname", value, () -> app.queryForList(
                            "select nickname from users where user_id = ?", String.class, id)
                    .contains(value));
        }
        return answer(side, htmx, page);
    }

    /** Sets an order's next status; what is shipped gets a number to follow it by. */
    @PostMapping("/console/demo/{side:app|mini}/order/{id}")
    String status(
            @PathVariable String side,
            @PathVariable String id,
            @RequestParam String status,
            @RequestHeader(name = "HX-Request", required = false) String htmx,
            Model page) {
        known(STAGES, status);
        if (side.equals("app")) {
            boolean ships = status.equals("shipped");
            app.update("""
                    update orders set status = ?, updated_at = clock_timestamp(),
                      carrier = case when ? then 'SF' else carrier end,
                      tracking_number = case when ? then 'SF' || order_id || '00' else tracking_number end
                    where order_id = ?""", status, ships, ships, known(ORDERS, id));
            watch("order", id, "app", "mini", "status", status, () -> {
                JsonNode there = mini.read("order", id);
                return there != null && there.path("status").asText().equals(status);
            });
        } else {
            mini.edit("order", known(ORDERS, id), Map.of("status", status));
            watch("order", id, "mini", "app", "status", status, () -> app.queryForList(
                            "select status from orders where order_id = ?", String.class, id)
                    .contains(status));
        }
        return answer(side, htmx, page);
    }

    /** Mends at the sandbox what makes it refuse an order. */
    @PostMapping("/console/demo/mend/{id}")
    String mend(
            @PathVariable String id,
            @RequestHeader(name = "HX-Request", required = false) String htmx,
            Principal person,
            Model page) {
        mini.allow("order", known(ORDERS, id));
        mended.add(id);
        return answer("mini", htmx, page);
    }

    private String answer(String side, String htmx, Model page) {
        if (htmx == null) {
            return "redirect:/console/demo";
        }
        fill(page);
        return "both-ends :: " + side;
    }

    private static String known(List<String> known, String asked) {
        if (!known.contains(asked)) {
            throw new NoSuchElementException(asked);
        }
        return asked;
    }

    private void watch(
            String entity, String id, String from, String to, String field, String value, BooleanSupplier arrived) {
        Instant began = Instant.now();
        long start = System.nanoTime();
        Arrival open = new Arrival(entity, id, from, to, field, value, began, null);
        synchronized (arrivals) {
            arrivals.addFirst(open);
            while (arrivals.size() > ARRIVALS) {
                arrivals.removeLast();
            }
        }
        AtomicReference<Future<?>> self = new AtomicReference<>();
        self.set(watching.scheduleWithFixedDelay(
                () -> {
                    boolean there = arrived.getAsBoolean();
                    if (there) {
                        long ms = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
                        synchronized (arrivals) {
                            if (arrivals.remove(open)) {
                                arrivals.addFirst(new Arrival(entity, id, from, to, field, value, began, ms));
                            }
                        }
                    }
                    if ((there || began.plus(LONGEST).isBefore(Instant.now())) && self.get() != null) {
                        self.get().cancel(false);
                    }
                },
                2,
                5,
                TimeUnit.MILLISECONDS));
    }

    private void fill(Model page) {
        List<Row> appUsers = new ArrayList<>();
        List<Row> miniUsers = new ArrayList<>();
        for (String id : USERS) {
            List<Map<String, Object>> rows =
                    app.queryForList("select nickname, updated_at from users where user_id = ?", id);
            appUsers.add(
                    rows.isEmpty()
                            ? new Row(id, false, "", null, null, null, null, null)
                            : new Row(
                                    id,
                                    true,
                                    (String) rows.get(0).get("nickname"),
                                    null,
                                    null,
                                    null,
                                    arrived("app", "user", id),
                                    null));
            JsonNode there = mini.read("user", id);
            miniUsers.add(new Row(
                    id,
                    there != null,
                    there == null ? "" : there.path("nickname").asText(),
                    null,
                    null,
                    null,
                    arrived("mini", "user", id),
                    null));
        }
        List<Row> appOrders = new ArrayList<>();
        List<Row> miniOrders = new ArrayList<>();
        for (String id : ORDERS) {
            Long letter =
                    sync.queryForList("""
                            select id from dead_letter where entity = 'order' and record_id = ? and state in ('open', 'retrying')
                            order by id desc limit 1""", Long.class, id).stream().findFirst().orElse(null);
            app.query(
                    "select status, payment_amount, tracking_number from orders where order_id = ?",
                    row -> {
                        appOrders.add(new Row(
                                id,
                                true,
                                row.getBigDecimal("payment_amount").toPlainString(),
                                row.getString("status"),
                                next(row.getString("status")),
                                row.getString("tracking_number"),
                                arrived("app", "order", id),
                                letter));
                    },
                    id);
            JsonNode there = mini.read("order", id);
            String title = there == null
                    ? ""
                    : there.path("items").path(0).path("title").asText("");
            miniOrders.add(new Row(
                    id,
                    there != null,
                    there == null ? title : there.path("payment_amount").asText(),
                    there == null ? null : there.path("status").asText(),
                    there == null ? null : next(there.path("status").asText()),
                    title.isEmpty() ? null : title,
                    arrived("mini", "order", id),
                    letter));
        }
        page.addAttribute("appUsers", appUsers);
        page.addAttribute("miniUsers", miniUsers);
        page.addAttribute("appOrders", appOrders);
        page.addAttribute("miniOrders", miniOrders);
        page.addAttribute("mended", mended);
        synchronized (arrivals) {
            page.addAttribute("arrivals", List.copyOf(arrivals));
        }
    }

    private Long arrived(String side, String entity, String id) {
        Instant recent = Instant.now().minusSeconds(8);
        synchronized (arrivals) {
            return arrivals.stream()
                    .filter(one -> one.to().equals(side)
                            && one.entity().equals(entity)
                            && one.id().equals(id)
                            && one.ms() != null
                            && one.at().isAfter(recent))
                    .map(Arrival::ms)
                    .findFirst()
                    .orElse(null);
        }
    }

    private static String next(String status) {
        int at = STAGES.indexOf(status);
        return at < 0 || at + 1 >= STAGES.size() ? null : STAGES.get(at + 1);
    }
}
