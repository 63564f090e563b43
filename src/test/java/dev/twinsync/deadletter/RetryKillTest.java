package dev.twinsync.deadletter;

import static dev.twinsync.deadletter.Desk.within;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Ports;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.net.CookieManager;
import java.net.CookiePolicy;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;

/** A retry of many letters outlives the service: it is killed in the middle, and each letter ends once. */
class RetryKillTest {

    /** Codes by which a system refuses for good: forty causes. */
    private static final List<Integer> CODES = IntStream.rangeClosed(410, 499)
            .filter(code -> code != 425 && code != 429)
            .limit(40)
            .boxed()
            .toList();

    private static final double PAGE_MS = 300;

    private static final Duration LONG = Duration.ofMinutes(5);

    private final List<AutoCloseable> started = new ArrayList<>();
    private MiniProgram mini;
    private JdbcTemplate app;
    private Map<String, String> settings;
    private int port;
    private Process service;
    private Desk desk;

    @AfterEach
    void stop() throws Exception {
        if (service != null) {
            service.destroyForcibly().waitFor();
        }
        for (int i = started.size() - 1; i >= 0; i--) {
            started.get(i).close();
        }
    }

    @Test
    void eachOfAFewHundredLettersEndsOnce() throws Exception {
        begin();
        letters(240, 4);
        killed(1, 240, 40);
    }

    @Test
    @Tag("proof")
    void eachOfTenThousandLettersOfFortyCausesEndsOnce() throws Exception {
        begin();
        letters(10_000, 40);
        long began = System.nanoTime();
        killed(2, 10_000, 400);
        System.out.printf("10,000 letters retried at 400 a second, killed twice: %.1f s%n", seconds(began));
    }

    /** Each page, warm, for one user: before a retry of all, and after it. What each page and call took is printed. */
    @Test
    @Tag("benchmark") // a figure, which other work on the machine would change
    void everyPageOfTenThousandLettersOfFortyCausesIsThereIn300Milliseconds() throws Exception {
        begin();
        long began = System.nanoTime();
        letters(10_000, 40);
        System.out.printf("10,000 letters of 40 causes stored after %.1f s%n", seconds(began));
        measure();
        for (int n = 501; n <= 10_000; n++) {
            mini.allow("order", "kill-" + n);
        }
        began = System.nanoTime();
        String operation = desk.post("/dead-letters/retries", "{\"filter\":{},\"rate\":10000}")
                .json()
                .path("operation")
                .asText();
        within(LONG, () -> assertThat(desk.operation(operation).path("state").asText())
                .isEqualTo("done"));
        System.out.printf("all of them retried after %.1f s%n", seconds(began));
        measure();
    }

    private static double seconds(long began) {
        return (System.nanoTime() - began) / 1e9;
    }

    private void begin() throws Exception {
        Postgres postgres = Postgres.start(0);
        started.add(postgres);
        postgres.createAppTables();
        Broker broker = Broker.start(0);
        started.add(broker);
        mini = MiniProgram.start(0);
        started.add(mini);
        app = new JdbcTemplate(new DriverManagerDataSource(postgres.url(), "postgres", "postgres"));
        port = Ports.free();
        settings = new HashMap<>(Neighbours.settings(postgres.url(), broker, mini));
        settings.putAll(Map.ofEntries(
                Map.entry("CONSOLE_USERS", "operator:operator:" + new BCryptPasswordEncoder(4).encode("operator")),
                Map.entry("SERVER_PORT", String.valueOf(port)),
                Map.entry("MANAGEMENT_PORT", String.valueOf(Ports.free())),
                // who was killed leaves its group sooner than in earnest
                Map.entry("CAMEL_COMPONENT_KAFKA_SESSIONTIMEOUTMS", "6000"),
                Map.entry("CAMEL_COMPONENT_KAFKA_HEARTBEATINTERVAL", "2000")));
        desk = new Desk("http://127.0.0.1:" + port);
        start();
    }

    private void start() throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                "dev.twinsync.Twinsync");
        builder.environment().putAll(settings);
        builder.redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        Path.of("target", "retry-kills.log").toFile()));
        service = builder.start();
        within(Duration.ofMinutes(2), () -> assertThat(
                        desk.call("GET", "/dead-letters/retries", null).status())
                .isEqualTo(200));
    }

    private void letters(int count, int causes) {
        for (int n = 1; n <= count; n++) {
            mini.refuse("order", "kill-" + n, CODES.get(n % causes));
        }
        app.update("""
                insert into orders (order_id, user_id, status, payment_amount)
                select 'kill-' || n, 'u', 'paid', n from generate_series(1, ?) n""", count);
        within(LONG, () -> assertThat(count("dead_letter where state = 'open'")).isEqualTo(count));
        assertThat(count("letter_group")).isEqualTo(causes);
    }

    private long count(String what) {
        Long count = app.queryForObject("select count(*) from sync." + what, Long.class);
        return count == null ? 0 : count;
    }

    private void killed(int kills, int count, int rate) throws Exception {
        // one in twenty is refused again
        int stay = count / 20;
        for (int n = stay + 1; n <= count; n++) {
            mini.allow("order", "kill-" + n);
        }
        int written = (int) mini.writes().stream().filter(w -> w.code() == 0).count();
        assertThat(written).isZero();
        Desk.Answer answer = desk.post("/dead-letters/retries", "{\"filter\":{},\"rate\":" + rate + "}");
        assertThat(answer.status()).as(answer.body()).isEqualTo(202);
        String operation = answer.json().path("operation").asText();
        for (int kill = 1; kill <= kills; kill++) {
            long sent = count * kill / (kills + 1);
            within(LONG, () -> assertThat(count("retry_item where sent_at is not null"))
                    .isGreaterThan(sent));
            service.destroyForcibly().waitFor();
            assertThat(count("retry_item where state = 'pending'")).isPositive();
            start();
        }
        within(LONG, () -> assertThat(desk.operation(operation).path("state").asText())
                .isEqualTo("done"));
        JsonNode done = desk.operation(operation);
        assertThat(done.path("total").asInt()).isEqualTo(count);
        assertThat(done.path("sent").asInt()).isEqualTo(count);
        assertThat(done.path("succeeded").asInt() + done.path("failed_again").asInt())
                .isEqualTo(count);
        // nothing is under way any more: what was refused once more is open, all else is at an end
        within(LONG, () -> {
            assertThat(count("dead_letter where state = 'retrying'")).isZero();
            assertThat(count("dead_letter where state = 'open'")).isEqualTo(stay);
            assertThat(count("dead_letter where state in ('resolved', 'superseded')"))
                    .isEqualTo(count - stay);
        });
        assertThat(count("dead_letter")).isEqualTo(count);
        assertThat(count("retry_item where ended_at is null")).isZero();
        for (int n = stay + 1; n <= count; n++) {
            assertThat(mini.read("order", "kill-" + n).path("payment_amount").asInt())
                    .isEqualTo(n);
        }
        // a key was used for one body, no version went back, and nothing was written twice with effect
        assertThat(mini.violations()).isEmpty();
        assertThat(mini.backwards()).isZero();
        assertThat(mini.echoes()).isZero();
    }

    private void measure() {
        String group = desk.get("/dead-letters/groups?all=true")
                .path("items")
                .path(0)
                .path("group")
                .asText();
        long letter = desk.get("/dead-letters?group=" + group)
                .path("items")
                .path(0)
                .path("id")
                .asLong();
        List<String> paths = List.of(
                "/dead-letters/groups",
                "/dead-letters/groups?all=true",
                "/dead-letters/groups/" + group,
                "/dead-letters?state=open",
                "/dead-letters?group=" + group,
                "/dead-letters?q=kill-77",
                "/dead-letters/" + letter,
                "/dead-letters/retries");
        for (String path : paths) {
            print(path, () -> assertThat(desk.call("GET", path, null).status()).isEqualTo(200), 30);
        }
        HttpClient browser = signedIn();
        List<String> pages = new ArrayList<>(List.of(
                "/console",
                "/console/overview",
                "/console/letters",
                "/console/letters?all=true",
                "/console/letters/list",
                "/console/letters/list?state=open",
                "/console/letters/list?state=open&after=5000",
                "/console/letters/list?group=" + group,
                "/console/letters/list?q=kill-77",
                "/console/letters/" + letter,
                "/console/letters/retry?group=" + group,
                "/console/letters/retry?state=open",
                "/console/letters/retries",
                "/console/conflicts",
                "/console/flows",
                "/console/flows/diagram",
                "/console/audit",
                "/console/verification",
                "/console/letters/discard?state=open",
                "/console/search?q=kill-77",
                "/console/orders/kill-77",
                "/console/orders/kill-77?live=true",
                "/login"));
        desk.get("/dead-letters/retries")
                .path("items")
                .findValuesAsText("operation")
                .forEach(operation -> pages.addAll(List.of(
                        "/console/letters/retries/" + operation,
                        "/console/letters/retries/" + operation + "?outcome=failed_again",
                        "/console/letters/retries/" + operation + "/progress")));
        Map<String, Double> late = new TreeMap<>();
        for (String path : pages) {
            double p95 = print(
                    path, () -> assertThat(page(browser, path).statusCode()).isEqualTo(200), 40);
            if (p95 >= PAGE_MS) {
                late.put(path, p95);
            }
        }
        print(
                "/dead-letters/retries (dry run of all)",
                () -> assertThat(desk.post("/dead-letters/retries", "{\"filter\":{},\"dry_run\":true}")
                                .status())
                        .isEqualTo(200),
                20);
        print(
                "/dead-letters/export (all)",
                () -> assertThat(desk.call("GET", "/dead-letters/export?format=csv", null)
                                .status())
                        .isEqualTo(200),
                5);
        assertThat(late).as("pages with their p95 in milliseconds").isEmpty();
    }

    private HttpClient signedIn() {
        HttpClient browser = HttpClient.newBuilder()
                .cookieHandler(new CookieManager(null, CookiePolicy.ACCEPT_ALL))
                .followRedirects(HttpClient.Redirect.NORMAL)
                .build();
        Matcher token = Pattern.compile("name=\"_csrf\" value=\"([^\"]+)\"")
                .matcher(page(browser, "/login").body());
        assertThat(token.find()).isTrue();
        HttpResponse<String> answer = send(
                browser,
                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/login"))
                        .header("Content-Type", "application/x-www-form-urlencoded")
                        .POST(HttpRequest.BodyPublishers.ofString("username=operator&password=operator&_csrf="
                                + URLEncoder.encode(token.group(1), StandardCharsets.UTF_8)))
                        .build());
        assertThat(answer.uri().getPath()).isEqualTo("/console");
        return browser;
    }

    private HttpResponse<String> page(HttpClient browser, String path) {
        return send(
                browser,
                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                        .build());
    }

    private static HttpResponse<String> send(HttpClient browser, HttpRequest request) {
        try {
            return browser.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** @return the 95th of a hundred, in milliseconds */
    private static double print(String what, Runnable call, int times) {
        for (int i = 0; i < Math.max(3, times / 4); i++) {
            call.run();
        }
        long[] took = new long[times];
        for (int i = 0; i < times; i++) {
            long began = System.nanoTime();
            call.run();
            took[i] = System.nanoTime() - began;
        }
        Arrays.sort(took);
        double p95 = took[(int) Math.ceil(times * 0.95) - 1] / 1e6;
        System.out.printf("%-45s p50 %5.0f ms  p95 %5.0f ms%n", what, took[times / 2] / 1e6, p95);
        return p95;
    }
}
