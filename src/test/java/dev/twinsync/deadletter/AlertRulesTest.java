package dev.twinsync.deadletter;

import static dev.twinsync.deadletter.Desk.soon;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import dev.twinsync.devservices.Neighbours;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The alert rules that ship, evaluated over what the service really tells. */
class AlertRulesTest {

    /** One line of a scrape. */
    private record Sample(String name, Map<String, String> labels, double value) {}

    /** An alert rule; its expression is an aggregation over a metric, compared with a number. */
    private record Rule(String alert, String expression, Duration hold, JsonNode node) {

        private static final Pattern COMPARISON = Pattern.compile("(.+?)\\s*(>|<|>=|<=|==)\\s*([-0-9.e]+)");
        private static final Pattern AGGREGATION =
                Pattern.compile("(max|min|sum|count)(?:\\s+by\\s*\\(([^)]*)\\))?\\s*\\((.+)\\)");
        private static final Pattern ABSOLUTE = Pattern.compile("abs\\((.+)\\)");
        private static final Pattern SELECTOR = Pattern.compile("([a-z_:][a-z0-9_:]*)(?:\\{(.*)\\})?");
        private static final Pattern MATCHER = Pattern.compile("([a-z_]+)(=|!=)\"([^\"]*)\"");

        /** What the condition is true of now. */
        List<Map<String, String>> holds(List<Sample> scrape) {
            Matcher comparison = COMPARISON.matcher(expression);
            assertThat(comparison.matches()).as(expression).isTrue();
            double bound = Double.parseDouble(comparison.group(3));
            return value(comparison.group(1), scrape).stream()
                    .filter(sample -> switch (comparison.group(2)) {
                        case ">" -> sample.value() > bound;
                        case "<" -> sample.value() < bound;
                        case ">=" -> sample.value() >= bound;
                        case "<=" -> sample.value() <= bound;
                        default -> sample.value() == bound;
                    })
                    .map(Sample::labels)
                    .toList();
        }

        private static List<Sample> value(String expression, List<Sample> scrape) {
            Matcher aggregation = AGGREGATION.matcher(expression.strip());
            if (aggregation.matches()) {
                List<String> by = aggregation.group(2) == null
                        ? List.of()
                        : List.of(aggregation.group(2).split("\\s*,\\s*"));
                Map<Map<String, String>, List<Double>> groups = new LinkedHashMap<>();
                value(aggregation.group(3), scrape).forEach(sample -> {
                    Map<String, String> key = new TreeMap<>(sample.labels());
                    key.keySet().retainAll(by);
                    groups.computeIfAbsent(key, k -> new ArrayList<>()).add(sample.value());
                });
                List<Sample> result = new ArrayList<>();
                // what is no number is passed over, unless nothing else is there
                groups.values().forEach(values -> {
                    if (values.stream().anyMatch(value -> !value.isNaN())) {
                        values.removeIf(value -> value.isNaN());
                    }
                });
                groups.forEach((key, values) -> result.add(new Sample("", key, of(aggregation.group(1), values))));
                return result;
            }
            Matcher absolute = ABSOLUTE.matcher(expression.strip());
            if (absolute.matches()) {
                return value(absolute.group(1), scrape).stream()
                        .map(sample -> new Sample("", sample.labels(), Math.abs(sample.value())))
                        .toList();
            }
            Matcher selector = SELECTOR.matcher(expression.strip());
            assertThat(selector.matches()).as(expression).isTrue();
            return scrape.stream()
                    .filter(sample -> sample.name().equals(selector.group(1)) && matches(selector.group(2), sample))
                    .toList();
        }

        private static boolean matches(String matchers, Sample sample) {
            Matcher matcher = MATCHER.matcher(matchers == null ? "" : matchers);
            while (matcher.find()) {
                boolean same =
                        sample.labels().getOrDefault(matcher.group(1), "").equals(matcher.group(3));
                if (same != matcher.group(2).equals("=")) {
                    return false;
                }
            }
            return true;
        }

        private static double of(String aggregation, Collection<Double> values) {
            return switch (aggregation) {
                case "max" -> values.stream().mapToDouble(v -> v).max().orElse(0);
                case "min" -> values.stream().mapToDouble(v -> v).min().orElse(0);
                case "sum" -> values.stream().mapToDouble(v -> v).sum();
                default -> values.size();
            };
        }

        /** Whether it fires when the same is scraped for so long. */
        boolean fires(List<Sample> scrape, Duration lasting) {
            return !holds(scrape).isEmpty() && lasting.compareTo(hold) >= 0;
        }
    }

    private static Neighbours neighbours;
    private static JdbcTemplate app;
    private static Desk desk;

    @BeforeAll
    static void start() {
        neighbours = Neighbours.get();
        app = new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
        desk = new Desk(
                "http://127.0.0.1:" + neighbours.service().getEnvironment().getProperty("local.server.port"));
    }

    private static List<Rule> rules() throws IOException {
        List<Rule> rules = new ArrayList<>();
        // as a Prometheus would fetch it
        JsonNode file = new ObjectMapper(new YAMLFactory())
                .readTree(desk.call("GET", "/alerts.yaml", null).body());
        for (JsonNode group : file.path("groups")) {
            for (JsonNode rule : group.path("rules")) {
                rules.add(new Rule(
                        rule.path("alert").asText(),
                        rule.path("expr").asText(),
                        Duration.parse("PT" + rule.path("for").asText("0s").toUpperCase(java.util.Locale.ROOT)),
                        rule));
            }
        }
        return rules;
    }

    private static Rule rule(String alert) throws IOException {
        return rules().stream()
                .filter(rule -> rule.alert().equals(alert))
                .findFirst()
                .orElseThrow();
    }

    private static List<Sample> scrape() throws Exception {
        neighbours.service().getBean(LetterMetrics.class).measure();
        String port = neighbours.service().getEnvironment().getProperty("local.management.port");
        HttpResponse<String> answer = HttpClient.newHttpClient()
                .send(
                        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/actuator/prometheus"))
                                .header("Authorization", "Bearer ops-key")
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
        assertThat(answer.statusCode()).isEqualTo(200);
        Pattern line = Pattern.compile("([a-z_:][a-zA-Z0-9_:]*)(?:\\{(.*)\\})? (\\S+)");
        Pattern label = Pattern.compile("([a-zA-Z_]+)=\"((?:[^\"\\\\]|\\\\.)*)\"");
        List<Sample> samples = new ArrayList<>();
        answer.body().lines().filter(text -> !text.startsWith("#")).forEach(text -> {
            Matcher sample = line.matcher(text);
            if (sample.matches()) {
                Map<String, String> labels = new TreeMap<>();
                Matcher labelled = label.matcher(sample.group(2) == null ? "" : sample.group(2));
                while (labelled.find()) {
                    labels.put(labelled.group(1), labelled.group(2));
                }
                samples.add(new Sample(sample.group(1), labels, Double.parseDouble(sample.group(3))));
            }
        });
        return samples;
    }

    private static void letter(String order, int code) {
        neighbours.mini.refuse("order", order, code);
        app.update("insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", order);
        desk.letter(order);
    }

    @Test
    void everyRuleIsOverMetricsThatTheServiceTellsAndSaysWhatToDo() throws Exception {
        letter("alert-0", 455);
        List<Sample> scrape = scrape();
        List<String> breaches = new ArrayList<>();
        for (Rule rule : rules()) {
            Matcher metric = Pattern.compile("sync_[a-z_]+").matcher(rule.expression());
            while (metric.find()) {
                if (scrape.stream().noneMatch(sample -> sample.name().equals(metric.group()))) {
                    breaches.add(rule.alert() + ": nobody tells " + metric.group());
                }
            }
            rule.holds(scrape);
            for (String annotation : List.of("summary", "description")) {
                if (rule.node().path("annotations").path(annotation).asText().isBlank()) {
                    breaches.add(rule.alert() + ": no " + annotation);
                }
            }
        }
        assertThat(breaches).isEmpty();
    }

    @Test
    void lettersThatNobodyHasLookedAtFireUntilTheyAreAcknowledged() throws Exception {
        letter("alert-1", 456);
        Rule rule = rule("DeadLettersUnacknowledged");
        assertThat(rule.fires(scrape(), Duration.ofMinutes(4))).isFalse();
        assertThat(rule.fires(scrape(), Duration.ofMinutes(5))).isTrue();
        assertThat(rule.holds(scrape())).anyMatch(labels -> "mini".equals(labels.get("system")));
        List<String> fresh = app.queryForList("select id from sync.letter_group where state = 'new'", String.class);
        try {
            fresh.forEach(group -> desk.call("PATCH", "/dead-letters/groups/" + group, "{\"state\":\"acknowledged\"}"));
            assertThat(rule.holds(scrape())).isEmpty();
            assertThat(rule("DeadLetterOld").holds(scrape())).isEmpty();
        } finally {
            fresh.forEach(group -> desk.call("PATCH", "/dead-letters/groups/" + group, "{\"state\":\"new\"}"));
        }
    }

    @Test
    void manyLettersAnOldOneAndAPausedRetryFire() throws Exception {
        letter("alert-2", 457);
        assertThat(rule("DeadLettersMany").holds(scrape())).isEmpty();
        assertThat(rule("DeadLettersMany")
                        .holds(List.of(
                                new Sample("sync_dead_letters_by_age", Map.of("age", "1h", "instance", "a"), 600),
                                new Sample("sync_dead_letters_by_age", Map.of("age", "1h", "instance", "b"), 600),
                                new Sample("sync_dead_letters_by_age", Map.of("age", "1d", "instance", "a"), 500))))
                .hasSize(1);
        app.update(
                "update sync.dead_letter set first_failed_at = now() - interval '2 days' where record_id = 'alert-2'");
        assertThat(rule("DeadLetterOld").fires(scrape(), Duration.ofMinutes(5))).isTrue();
        String operation = desk.post(
                        "/dead-letters/retries", "{\"filter\":{\"key\":\"alert-2\"},\"rate\":0.1,\"reason\":\"held\"}")
                .json()
                .path("operation")
                .asText();
        desk.post("/dead-letters/retries/" + operation + "/pause", "{}");
        assertThat(rule("RetryPaused").fires(scrape(), Duration.ofMinutes(15))).isTrue();
        desk.call("DELETE", "/dead-letters/retries/" + operation, null);
        app.update("update sync.dead_letter set first_failed_at = now() where record_id = 'alert-2'");
    }

    /** The same scrape with one metric of one label moved. */
    private static List<Sample> moved(List<Sample> scrape, String name, String label, double value) {
        assertThat(scrape)
                .anyMatch(sample -> sample.name().equals(name)
                        && sample.labels().containsValue(label)
                        && !Double.isNaN(sample.value()));
        return scrape.stream()
                .map(sample -> sample.name().equals(name) && sample.labels().containsValue(label)
                        ? new Sample(name, sample.labels(), value)
                        : sample)
                .toList();
    }

    @Test
    void lagAndAFlowThatIsPutStillFire() throws Exception {
        Rule late = rule("LagHigh");
        Rule still = rule("FlowsPutStill");
        soon(() -> assertThat(still.holds(scrape())).isEmpty());
        assertThat(desk.post("/flows/deliver-mini-users/pause", "{\"reason\":\"to see it told\"}")
                        .status())
                .isEqualTo(200);
        try {
            app.update("insert into users (user_id, nickname) values ('alert-lag', 'a')");
            soon(() -> assertThat(
                            app.update(
                                    "update sync.due set since = clock_timestamp() - interval '10 minutes' where id = 'alert-lag'"))
                    .isEqualTo(1));
            soon(() -> assertThat(late.holds(scrape())).contains(Map.of("entity", "user", "system", "mini")));
            assertThat(late.fires(scrape(), Duration.ofMinutes(4))).isFalse();
            assertThat(late.fires(scrape(), Duration.ofMinutes(5))).isTrue();
            assertThat(still.fires(scrape(), Duration.ofHours(1))).isTrue();
        } finally {
            desk.post("/flows/deliver-mini-users/start", "{\"reason\":\"it was told\"}");
        }
        soon(() -> {
            assertThat(late.holds(scrape()))
                    .as(() -> app.queryForList("""
                            select d.*, g.version as golden, b.doubt, b.refused, b.waiting_for, b.detail
                            from sync.due d left join sync.golden g using (entity, id)
                            left join sync.base b using (entity, id, system) where entity = 'user' limit 5""").toString())
                    .isEmpty();
            assertThat(still.holds(scrape())).isEmpty();
        });
    }

    @Test
    void anOutageItsBreakerAndCaptureThatDoesNotGetThroughFire() throws Exception {
        Rule away = rule("SystemAway");
        Rule fails = rule("CaptureFails");
        soon(() -> {
            assertThat(away.holds(scrape())).isEmpty();
            assertThat(fails.holds(scrape())).isEmpty();
        });
        neighbours.mini.always(503);
        try {
            app.update("insert into users (user_id, nickname) values ('alert-away', 'a')");
            soon(() -> {
                List<Sample> scrape = scrape();
                assertThat(away.holds(scrape)).containsExactly(Map.of("endpoint", "mini"));
                assertThat(fails.holds(scrape)).contains(Map.of("flow", "poll-mini-users"));
            });
        } finally {
            neighbours.mini.always(null);
        }
        soon(() -> {
            assertThat(away.holds(scrape())).isEmpty();
            assertThat(fails.holds(scrape())).isEmpty();
        });
    }

    @Test
    void captureThatStandsStillANeighbourThatIsAwayAndWhatIsHeldBackFire() throws Exception {
        List<Sample> scrape = scrape();
        Rule stands = rule("CaptureStandsStill");
        assertThat(stands.holds(scrape)).isEmpty();
        assertThat(stands.holds(moved(scrape, "sync_poll_age_seconds", "poll-app-orders", 200)))
                .containsExactly(Map.of("flow", "poll-app-orders"));
        Rule away = rule("NeighbourAway");
        assertThat(away.holds(scrape)).isEmpty();
        assertThat(away.holds(moved(scrape, "sync_neighbour_up", "kafka", 0)))
                .containsExactly(Map.of("neighbour", "kafka"));
        Rule held = rule("DeletionsHeldBack");
        assertThat(held.holds(scrape)).isEmpty();
        assertThat(held.holds(moved(scrape, "sync_deletions_held", "sweep-app-users", 1)))
                .containsExactly(Map.of("flow", "sweep-app-users"));
        Rule clock = rule("ClockOff");
        assertThat(clock.holds(moved(scrape, "sync_clock_offset_seconds", "mini", -6)))
                .containsExactly(Map.of("system", "mini"));
    }

    @Test
    void theLinesOfTheMetricsAreBounded() throws Exception {
        TreeSet<String> groups = new TreeSet<>();
        scrape().stream()
                .filter(sample -> sample.name().equals("sync_dead_letters_by_group"))
                .forEach(sample -> groups.add(sample.labels().get("group")));
        assertThat(groups.size()).isLessThanOrEqualTo(51);
    }
}
