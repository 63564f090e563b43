package dev.twinsync.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.bind.annotation.RequestMethod;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;

/** Nobody gets past the rights, on any path that is mapped, on either port. */
class SecurityTest {

    private static Caller caller;

    /** Method and path of all of the API that is mapped. */
    private static final Set<String> MAPPED = new TreeSet<>();

    /** The same of the console's pages, which have a login of their own. */
    private static final Set<String> PAGES = new TreeSet<>();

    @BeforeAll
    static void start() {
        ConfigurableApplicationContext service = Neighbours.get().service();
        caller = new Caller(service);
        service.getBean("requestMappingHandlerMapping", RequestMappingHandlerMapping.class)
                .getHandlerMethods()
                .forEach((info, method) -> {
                    boolean page = method.getBeanType().getName().startsWith("dev.twinsync.console.");
                    if (page || method.getBeanType().isAnnotationPresent(RestController.class)) {
                        for (String pattern : info.getPatternValues()) {
                            for (RequestMethod verb : info.getMethodsCondition().getMethods()) {
                                (page ? PAGES : MAPPED).add(verb + " " + sample(pattern));
                            }
                        }
                    }
                });
        assertThat(MAPPED).hasSizeGreaterThan(10);
    }

    private static String sample(String pattern) {
        return pattern.replace("sync_{entity}_data", "sync_user_data")
                .replaceAll("\\{plural[^}]*\\}", "users")
                .replace("{system}", "app")
                .replaceAll("\\{[^{}]*\\}", "987654321");
    }

    private static HttpResponse<String> call(String key, String mapped) throws Exception {
        String[] parts = mapped.split(" ");
        return caller.send(caller.request(key, parts[1])
                .header("Content-Type", "application/json")
                .method(parts[0], BodyPublishers.ofString("{}")));
    }

    private static List<String> answers(String key, Set<String> paths, int expected) throws Exception {
        List<String> others = new ArrayList<>();
        for (String path : paths) {
            HttpResponse<String> answer = call(key, path);
            if (answer.statusCode() != expected) {
                others.add(path + " " + answer.statusCode());
            } else {
                assertThat(answer.headers().firstValue("Content-Type")).hasValue("application/problem+json");
            }
        }
        return others;
    }

    private static Set<String> pushes() {
        Set<String> pushes = new TreeSet<>(MAPPED);
        pushes.removeIf(path -> !path.contains("/sync_"));
        return pushes;
    }

    @Test
    void withoutAKeyNothingIsAnswered() throws Exception {
        assertThat(answers(null, MAPPED, 401)).isEmpty();
    }

    @Test
    void withAWrongKeyNothingIsAnswered() throws Exception {
        assertThat(answers("app-key2", MAPPED, 401)).isEmpty();
        assertThat(answers("", MAPPED, 401)).isEmpty();
    }

    @Test
    void aBackendMayPushAndReadRecordsAndNothingElse() throws Exception {
        Set<String> others = new TreeSet<>(MAPPED);
        others.removeAll(pushes());
        others.remove("GET /users/987654321");
        assertThat(others).isNotEmpty();
        assertThat(answers("app-key", others, 403)).isEmpty();
        assertThat(answers("mini-key", others, 403)).isEmpty();
        assertThat(answers("app-key", Set.of("GET /users/987654321"), 404)).isEmpty();
    }

    @Test
    void opsMayNotPush() throws Exception {
        assertThat(pushes()).hasSize(2);
        assertThat(answers("ops-key", pushes(), 403)).isEmpty();
    }

    @Test
    void aViewerSeesEverythingThatIsMaskedAndMayNotAct() throws Exception {
        String viewer = Base64.getEncoder().encodeToString("viewer:viewer".getBytes(StandardCharsets.UTF_8));
        List<String> breaches = new ArrayList<>();
        Set<String> paths = new TreeSet<>(MAPPED);
        paths.removeAll(pushes());
        for (String mapped : paths) {
            String[] parts = mapped.split(" ");
            int status = caller.send(caller.request(null, parts[1])
                            .header("Authorization", "Basic " + viewer)
                            .header("Content-Type", "application/json")
                            .method(parts[0], BodyPublishers.ofString("{}")))
                    .statusCode();
            boolean refused = status == 401 || status == 403;
            if (parts[0].equals("GET") == refused) {
                breaches.add("a viewer gets " + status + " of " + mapped);
            }
        }
        assertThat(breaches).isEmpty();
        assertThat(paths.stream().filter(path -> !path.startsWith("GET"))).hasSizeGreaterThan(15);
    }

    @Test
    void anAdminMaySwitchHowChangesAreLearnedAndAnOperatorMayNot() throws Exception {
        for (String verb : List.of("POST", "DELETE")) {
            assertThat(capture("operator", verb)).isEqualTo(403);
        }
        assertThat(capture("operator", "GET")).isEqualTo(200);
        // it is asked what to switch to, and why
        assertThat(capture("admin", "POST")).isEqualTo(422);
    }

    private static int capture(String person, String verb) throws Exception {
        String named = Base64.getEncoder().encodeToString((person + ':' + person).getBytes(StandardCharsets.UTF_8));
        return caller.send(caller.request(null, "/capture/app")
                        .header("Authorization", "Basic " + named)
                        .header("Content-Type", "application/json")
                        .method(verb, BodyPublishers.ofString("{}")))
                .statusCode();
    }

    @Test
    void noPageIsShownWithoutALogin() throws Exception {
        for (String page : PAGES) {
            if (page.equals("GET /login")) {
                continue;
            }
            for (String key : new String[] {null, "app-key", "mini-key", "wrong"}) {
                HttpResponse<String> answer = call(key, page);
                assertThat(answer.statusCode()).as(page).isIn(302, 401, 403);
                answer.headers()
                        .firstValue("Location")
                        .ifPresent(location -> assertThat(location).as(page).contains("/login"));
            }
        }
    }

    @Test
    void whatIsMappedNowhereIsRefusedToo() throws Exception {
        for (String path : List.of("/error", "/actuator", "/env", "/users", "/a/b/c/d", "/sync_user_data/batch/x")) {
            assertThat(caller.get(null, path).statusCode()).as(path).isEqualTo(401);
            assertThat(caller.get("app-key", path).statusCode()).as(path).isIn(403, 404, 405);
        }
    }

    @Test
    void theManagementPortTellsAnyoneTheStatusAlone() throws Exception {
        for (String path : List.of("/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness")) {
            for (String key : new String[] {null, "app-key", "mini-key"}) {
                HttpResponse<String> answer = caller.get(key, path);
                assertThat(answer.body()).as(path).contains("\"status\"").doesNotContain("components", "details");
            }
        }
        assertThat(caller.get(null, "/actuator/health/kafka").statusCode()).isIn(401, 404);
        assertThat(caller.get("ops-key", "/actuator/health").body()).contains("components");
        assertThat(caller.get("wrong", "/actuator/health").statusCode()).isEqualTo(401);
    }

    @Test
    void metricsNeedTheKeyOfOps() throws Exception {
        assertThat(caller.get(null, "/actuator/prometheus").statusCode()).isEqualTo(401);
        assertThat(caller.get("wrong", "/actuator/prometheus").statusCode()).isEqualTo(401);
        assertThat(caller.get("app-key", "/actuator/prometheus").statusCode()).isEqualTo(403);
        assertThat(caller.get("ops-key", "/actuator/prometheus").statusCode()).isEqualTo(200);
    }

    @Test
    void theManagementPortServesNothingOfTheApi() throws Exception {
        for (String mapped : MAPPED) {
            String[] parts = mapped.split(" ");
            for (String key : new String[] {null, "app-key", "ops-key"}) {
                assertThat(caller.send(caller.management(key, parts[1]).method(parts[0], BodyPublishers.ofString("{}")))
                                .statusCode())
                        .as(mapped)
                        .isIn(401, 403, 404);
            }
        }
        for (String path : List.of("/actuator/env", "/actuator/beans", "/actuator/heapdump", "/actuator/camel")) {
            assertThat(caller.get("app-key", path).statusCode()).as(path).isIn(403, 404);
            assertThat(caller.get(null, path).statusCode()).as(path).isEqualTo(401);
        }
    }
}
