package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.microsoft.playwright.APIResponse;
import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.options.ColorScheme;
import com.microsoft.playwright.options.RequestOptions;
import dev.twinsync.devservices.Caller;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.web.bind.annotation.RequestMethod;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;

/**
 * What holds for every page and every answer, whichever they are: their paths are asked of the running service, so one
 * that is added is looked at too.
 */
@ExtendWith(OutputCaptureExtension.class)
class EveryPageTest extends Browsing {

    /** In every place where people or systems write something, in the ways in which it is written. */
    private static final String PHONE = "13877776666";

    private static final String TOKEN = "planted-secret-token-1";
    private static final String MARKUP = "<img src=x id=planted onerror=alert(1)>\u001b[31m𝕏🐼";
    private static final String TEXT = MARKUP + " tel " + PHONE + ", +86 138-7777-6666, Bearer " + TOKEN;

    private static boolean planted;
    private static long letter;
    private static long foreign;
    private static String group;
    private static String operation;

    private final Caller caller = new Caller(neighbours.service());

    @BeforeEach
    void plant() throws Exception {
        if (planted) {
            return;
        }
        app.update("insert into users (user_id, nickname, phone) values ('leak-1', ?, ?)", MARKUP, PHONE);
        mini.refuse("user", "leak-2", 449);
        app.update("insert into users (user_id, nickname, phone) values ('leak-2', ?, ?)", MARKUP, PHONE);
        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", neighbours.broker.address()),
                new StringSerializer(),
                new ByteArraySerializer())) {
            ProducerRecord<String, byte[]> record = new ProducerRecord<>(
                    "user.observed-dlt", "leak-<b id=planted>3", TEXT.getBytes(StandardCharsets.UTF_8));
            Map.of(
                            "kafka_dlt-exception-message", TEXT,
                            "kafka_dlt-exception-stacktrace", "at x.Y: " + TEXT,
                            "Authorization", TOKEN,
                            "x-note", TEXT)
                    .forEach((name, value) -> record.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
            producer.send(record).get();
        }
        await().atMost(Duration.ofSeconds(30))
                .ignoreExceptions()
                .untilAsserted(() -> assertThat(mini.read("user", "leak-1")).isNotNull());
        letter = letter("leak-2");
        foreign = letter("leak-<b id=planted>3");
        group = app.queryForObject("select failure_group from sync.dead_letter where id = ?", String.class, foreign);
        caller.send(caller.request("ops-key", "/dead-letters/groups/" + group)
                .header("Content-Type", "application/json")
                .method("PATCH", java.net.http.HttpRequest.BodyPublishers.ofString(json("note"))));
        caller.post("ops-key", "/flows/sweep-app-users/pause", json("reason"));
        caller.post("ops-key", "/flows/sweep-app-users/start", json("reason"));
        caller.post("ops-key", "/users/leak-1/reveal", json("reason"));
        operation = dev.twinsync.record.Json.read(caller.post(
                                "ops-key",
                                "/dead-letters/retries",
                                "{\"filter\":{\"key\":\"leak-2\"},"
                                        + json("reason").substring(1))
                        .body())
                .path("operation")
                .asText();
        caller.post("ops-key", "/dead-letters/" + foreign + "/discard", json("reason"));
        app.update("""
                insert into sync.conflict (entity, record_id, path, system, losing, winning, winner, rule, field_version, at, state)
                values ('user', 'leak-1', 'phone', 'mini', to_jsonb(?), to_jsonb(?), 'app', 'newest', 1, now(), 'open')""", "+86" + PHONE, "+86" + PHONE);
        planted = true;
    }

    private static String json(String member) {
        return "{\"" + member + "\":" + dev.twinsync.record.Json.text(TEXT) + "}";
    }

    private long letter(String key) {
        await().atMost(Duration.ofSeconds(30))
                .until(() -> app.queryForObject(
                                "select count(*) from sync.dead_letter where record_id = ?", Integer.class, key)
                        == 1);
        return app.queryForObject("select id from sync.dead_letter where record_id = ?", Long.class, key);
    }

    /** Every path that answers a GET, with what was planted where a page is of something. */
    private Set<String> paths(boolean pages) {
        Set<String> paths = new LinkedHashSet<>();
        neighbours
                .service()
                .getBean("requestMappingHandlerMapping", RequestMappingHandlerMapping.class)
                .getHandlerMethods()
                .forEach((mapping, handler) -> {
                    boolean api = handler.getBeanType().isAnnotationPresent(RestController.class);
                    boolean page = handler.getBeanType().getName().startsWith("dev.twinsync.console.");
                    if ((pages ? page : api)
                            && mapping.getMethodsCondition().getMethods().contains(RequestMethod.GET)) {
                        mapping.getPatternValues().forEach(pattern -> {
                            paths.add(sample(pattern, letter));
                            paths.add(sample(pattern, foreign));
                        });
                    }
                });
        for (String list : new String[] {"/console/letters/list?state=", "/console/letters/export?format=csv&state="}) {
            for (String state : new String[] {"open", "discarded", "open,retrying,resolved,superseded,discarded"}) {
                paths.add((pages ? list : list.replaceFirst("/console/letters(/list)?", "/dead-letters")) + state);
            }
        }
        paths.add(pages ? "/console/conflicts?state=all&id=leak-1" : "/conflicts?id=leak-1");
        paths.add(pages ? "/console/users/leak-1?live=true" : "/dead-letters?key=leak-2");
        paths.add(pages ? "/console/audit?act=flow.pause" : "/audit?act=flow.pause");
        return paths;
    }

    private static String sample(String pattern, long letter) {
        boolean ofLetters = pattern.matches(".*/(dead-)?letters/.*");
        Matcher variable =
                Pattern.compile("\\{(\\w+)(?::(?:[^{}]|\\{[^}]*})*)?}").matcher(pattern);
        return variable.replaceAll(found -> switch (found.group(1)) {
            case "plural" -> "users";
            case "id" -> ofLetters ? String.valueOf(letter) : "leak-1";
            case "group" -> group;
            case "operation" -> operation;
            case "flow" -> "sweep-app-users";
            case "system" -> "app";
            default -> "1";
        });
    }

    private static List<String> leaks(String body) {
        List<String> leaks = new ArrayList<>();
        String digits = body.replaceAll("[- ]", "");
        if (digits.contains(PHONE)) {
            leaks.add("a whole phone number");
        }
        if (body.contains(TOKEN)) {
            leaks.add("a token");
        }
        if (body.contains("mini-api-key") || body.contains("ops-key")) {
            leaks.add("a key");
        }
        return leaks;
    }

    @Test
    void noPageHoldsAPhoneATokenOrAKeyAndWhatComesFromOutsideIsText(CapturedOutput output) {
        Page page = as("operator");
        Set<String> breaches = new TreeSet<>();
        Set<String> paths = paths(true);
        assertThat(paths).hasSizeGreaterThan(25);
        String all = "";
        for (String path : paths) {
            APIResponse answer = page.request().get(home + path, RequestOptions.create());
            if (answer.status() >= 500) {
                breaches.add(path + " answers " + answer.status());
            }
            String body = answer.text();
            all += body;
            leaks(body).forEach(leak -> breaches.add(path + " holds " + leak));
            if (!path.contains("/export") && (body.contains("<img src=x id") || body.contains("<b id=planted"))) {
                breaches.add(path + " holds markup from outside");
            }
            if (body.indexOf('\u001b') >= 0) {
                breaches.add(path + " holds a control character");
            }
        }
        assertThat(breaches).isEmpty();
        // it was there, and was shown: as text, four bytes a character and all
        assertThat(all).contains("&lt;img src=x id=planted", "𝕏🐼", "138****6666", "Bearer ****");
        assertThat(leaks(output.getAll())).as("the log").isEmpty();
    }

    @Test
    void noAnswerNoExportAndNoMetricHoldsThemEither(CapturedOutput output) throws Exception {
        Set<String> breaches = new TreeSet<>();
        Set<String> paths = paths(false);
        paths.addAll(List.of(
                "/actuator/prometheus", "/actuator/health", "/dead-letters/export", "/dead-letters/export?format=csv"));
        assertThat(paths).hasSizeGreaterThan(25);
        String all = "";
        for (String path : paths) {
            var answer = caller.get("ops-key", path);
            if (answer.statusCode() >= 500 && !path.startsWith("/actuator")) {
                breaches.add(path + " answers " + answer.statusCode());
            }
            all += answer.body();
            leaks(answer.body()).forEach(leak -> breaches.add(path + " holds " + leak));
        }
        assertThat(breaches).isEmpty();
        assertThat(all).contains("𝕏🐼", "138****6666", "Bearer ****");
        assertThat(leaks(output.getAll())).as("the log").isEmpty();
    }

    private static String axe() {
        try (InputStream source = EveryPageTest.class.getResourceAsStream("/axe.min.js")) {
            return new String(source.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** What a check by the rules of WCAG 2.2 A and AA finds on a page. */
    private static List<String> barriers(Page page, String axe) {
        page.evaluate(axe);
        Object found = page.evaluate("""
                axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
                  .then(r => r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(
                    n => n.target.join(' ') + ' (' + n.any.concat(n.all).map(c => c.message).join('; ').slice(0, 160) + ')').join(' | ')))""");
        List<String> barriers = new ArrayList<>();
        ((List<?>) found).forEach(one -> barriers.add(String.valueOf(one)));
        return barriers;
    }

    private void noBarriers(Set<String> paths, String person, Browser.NewContextOptions options) {
        String axe = axe();
        Page page = as(person, options);
        Set<String> breaches = new TreeSet<>();
        for (String path : paths) {
            if (path.contains("/export")
                    || path.matches(".*/(progress|state|plan|overview|diagram|arrivals|demo/\\w+)(\\?.*)?")) {
                continue; // a file, or a part of a page
            }
            page.navigate(home + path);
            barriers(page, axe).forEach(barrier -> breaches.add(path + " " + barrier));
        }
        assertThat(breaches).isEmpty();
    }

    @Test
    void theMainPagesHaveNoBarriers() {
        noBarriers(
                new LinkedHashSet<>(
                        List.of("/console", "/console/letters", "/console/letters/" + letter, "/console/users/leak-1")),
                "operator",
                new Browser.NewContextOptions().setLocale("en-GB").setViewportSize(1280, 800));
    }

    @Test
    @Tag("proof")
    void noPageHasABarrierInEitherThemeLanguageAndWidth() {
        for (ColorScheme scheme : new ColorScheme[] {ColorScheme.LIGHT, ColorScheme.DARK}) {
            for (int width : new int[] {1280, 390}) {
                noBarriers(
                        paths(true),
                        "operator",
                        new Browser.NewContextOptions()
                                .setLocale(width == 390 ? "zh-CN" : "en-GB")
                                .setColorScheme(scheme)
                                .setViewportSize(width, 800));
            }
        }
    }
}
