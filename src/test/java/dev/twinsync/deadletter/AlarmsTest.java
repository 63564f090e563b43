package dev.twinsync.deadletter;

import static dev.twinsync.deadletter.Desk.soon;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.net.httpserver.HttpServer;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.transaction.support.TransactionTemplate;

/** Webhooks hear of causes that are new or grow, once each, and again when they were away. */
class AlarmsTest {

    private record Heard(String path, String query, JsonNode body) {}

    private static final List<Heard> HEARD = new CopyOnWriteArrayList<>();
    private static final Deque<String> REFUSALS = new ArrayDeque<>();
    private static Neighbours neighbours;
    private static HttpServer server;
    private static JdbcTemplate app;
    private static Desk desk;

    @BeforeAll
    static void start() throws Exception {
        neighbours = Neighbours.get();
        app = new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
        desk = new Desk(
                "http://127.0.0.1:" + neighbours.service().getEnvironment().getProperty("local.server.port"));
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            try (exchange) {
                byte[] body = exchange.getRequestBody().readAllBytes();
                String refusal;
                synchronized (REFUSALS) {
                    refusal = REFUSALS.poll();
                }
                byte[] answer = (refusal == null ? "{\"errcode\":0}" : refusal).getBytes(StandardCharsets.UTF_8);
                if (refusal == null) {
                    HEARD.add(new Heard(
                            exchange.getRequestURI().getPath(),
                            exchange.getRequestURI().getQuery(),
                            Json.read(body)));
                }
                exchange.sendResponseHeaders("500".equals(refusal) ? 500 : 200, answer.length);
                exchange.getResponseBody().write(answer);
            }
        });
        server.start();
    }

    @AfterAll
    static void stop() {
        server.stop(0);
    }

    private static Alarms alarms(String format, String secret) {
        ConfigurableApplicationContext service = neighbours.service();
        return new Alarms(
                service.getBean(JdbcTemplate.class),
                service.getBean(TransactionTemplate.class),
                service.getBean(Letters.class),
                format + "=http://127.0.0.1:" + server.getAddress().getPort() + '/' + format,
                secret,
                "https://sync.example.com/",
                Duration.ZERO,
                2,
                1000);
    }

    private static String letter(String order, int code) {
        neighbours.mini.refuse("order", order, code);
        app.update("insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", order);
        long letter = desk.letter(order);
        return desk.get("/dead-letters/" + letter).path("group").asText();
    }

    private static List<Heard> of(String path, String group) {
        return HEARD.stream()
                .filter(heard ->
                        heard.path().equals(path) && heard.body().toString().contains(group))
                .toList();
    }

    @Test
    void aCauseIsToldOnceAgainWhenItGrowsAndNeverOnceAcknowledged() {
        Alarms alarms = alarms("json", "");
        String group = letter("alarm-1", 451);
        synchronized (REFUSALS) {
            REFUSALS.add("500");
        }
        soon(() -> {
            alarms.turn();
            assertThat(of("/json", group)).hasSize(1);
        });
        JsonNode told = of("/json", group).get(0).body();
        assertThat(told.path("event").asText()).isEqualTo("dead_letters.new");
        assertThat(told.path("open").asInt()).isEqualTo(1);
        assertThat(told.path("link").asText())
                .isEqualTo("https://sync.example.com/console/letters/list?group=" + group);
        letter("alarm-2", 451);
        soon(() -> {
            alarms.turn();
            assertThat(of("/json", group)).hasSize(2);
        });
        assertThat(of("/json", group).get(1).body().path("event").asText()).isEqualTo("dead_letters.growing");
        desk.call("PATCH", "/dead-letters/groups/" + group, "{\"state\":\"acknowledged\"}");
        letter("alarm-3", 451);
        letter("alarm-4", 451);
        String other = letter("alarm-5", 452);
        soon(() -> {
            alarms.turn();
            assertThat(of("/json", other)).hasSize(1);
        });
        assertThat(of("/json", group)).hasSize(2);
    }

    @Test
    void aCauseIsNewWhoeverFailsHowOftenAndBackOnceItWasGone() {
        Alarms alarms = alarms("json", "");
        String group = letter("alarm-7", 454);
        app.update("update orders set status = 'shipped' where order_id = 'alarm-7'");
        // the later value takes the letter's place before anybody is told
        soon(() -> assertThat(desk.get("/dead-letters/groups/" + group)
                        .path("arrivals")
                        .asInt())
                .isEqualTo(2));
        assertThat(event(alarms, group, 1)).isEqualTo("dead_letters.new");
        desk.post("/dead-letters/" + desk.letter("alarm-7") + "/discard", "{\"reason\":\"known\"}");
        alarms.turn();
        letter("alarm-8", 454);
        assertThat(event(alarms, group, 2)).isEqualTo("dead_letters.back");
    }

    /** What the hook was told of the group at last, once it was told so often. */
    private static String event(Alarms alarms, String group, int times) {
        soon(() -> {
            alarms.turn();
            assertThat(of("/json", group)).hasSize(times);
        });
        return of("/json", group).get(times - 1).body().path("event").asText();
    }

    @Test
    void robotsAreToldInTheirWayAndTheirRefusalsAreHeard() {
        String group = letter("alarm-6", 453);
        synchronized (REFUSALS) {
            REFUSALS.add("{\"errcode\":45009,\"errmsg\":\"api freq out of limit\"}");
        }
        Alarms wecom = alarms("wecom", "");
        soon(() -> {
            wecom.turn();
            assertThat(of("/wecom", group)).hasSize(1);
        });
        JsonNode markdown = of("/wecom", group).get(0).body();
        assertThat(markdown.path("msgtype").asText()).isEqualTo("markdown");
        assertThat(markdown.path("markdown").path("content").asText()).contains("死信", "453", "deliver-mini-orders");
        Alarms dingtalk = alarms("dingtalk", "SECabc");
        soon(() -> {
            dingtalk.turn();
            assertThat(of("/dingtalk", group)).hasSize(1);
        });
        Heard signed = of("/dingtalk", group).get(0);
        assertThat(signed.query()).contains("timestamp=").contains("sign=");
        assertThat(signed.body().path("markdown").path("title").asText()).contains("Twinsync");
    }

    @Test
    void aSettingThatCantBeUsedSaysWhatToWrite() {
        assertThatThrownBy(() -> Alarms.targets("slack=https://example.com"))
                .hasMessageContaining("ALARM_WEBHOOKS")
                .hasMessageContaining("wecom");
        assertThatThrownBy(() -> Alarms.targets("json")).hasMessageContaining("ALARM_WEBHOOKS");
        assertThat(Alarms.targets(" ")).isEmpty();
    }
}
