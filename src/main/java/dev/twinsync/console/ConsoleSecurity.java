package dev.twinsync.console;

import dev.twinsync.audit.Audit;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.RequestDispatcher;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Duration;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.http.HttpMethod;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.core.userdetails.UsernameNotFoundException;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.SavedRequestAwareAuthenticationSuccessHandler;
import org.springframework.security.web.authentication.UsernamePasswordAuthenticationFilter;
import org.springframework.security.web.context.SecurityContextHolderFilter;
import org.springframework.security.web.csrf.CookieCsrfTokenRepository;
import org.springframework.security.web.header.writers.ReferrerPolicyHeaderWriter.ReferrerPolicy;
import org.springframework.security.web.savedrequest.CookieRequestCache;
import org.springframework.security.web.servlet.util.matcher.PathPatternRequestMatcher;
import org.springframework.security.web.util.matcher.OrRequestMatcher;
import org.springframework.security.web.util.matcher.RequestMatcher;

/**
 * The console's own rights: people sign in by a form and have a session that ends. Viewers see, operators and admins
 * act, and admins alone switch how changes are captured; whoever is not signed in sees the login page and its assets
 * alone. The API's chain stays without sessions.
 */
@Configuration
class ConsoleSecurity {

    /** Nothing but our own files: no inline script or style, no frame, no form to elsewhere. */
    private static final String CONTENT =
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
                    + " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

    @Bean
    @Order(1)
    SecurityFilterChain consoleFilters(
            HttpSecurity http,
            UserDetailsService people,
            Audit audit,
            LoginThrottle throttle,
            @Value("${server.servlet.session.timeout}") Duration idle,
            @Value("${twinsync.console.session-longest}") Duration longest)
            throws Exception {
        PathPatternRequestMatcher.Builder paths = PathPatternRequestMatcher.withDefaults();
        RequestMatcher ours = new OrRequestMatcher(
                paths.matcher("/"),
                paths.matcher("/console"),
                paths.matcher("/console/**"),
                paths.matcher("/login"),
                paths.matcher("/logout"),
                paths.matcher("/assets/**"),
                paths.matcher("/webjars/**"),
                ConsoleSecurity::isErrorOfThese);
        CookieCsrfTokenRepository tokens = new CookieCsrfTokenRepository(); // no session before somebody has signed in
        tokens.setCookieName("twinsync-csrf");
        tokens.setCookieCustomizer(cookie -> cookie.sameSite("Lax"));
        CookieRequestCache wanted = new CookieRequestCache();
        wanted.setRequestMatcher(request -> "GET".equals(request.getMethod())
                && request.getHeader("HX-Request") == null
                && request.getRequestURI().startsWith("/console"));
        wanted.setCookieCustomizer(cookie -> cookie.setAttribute("SameSite", "Lax"));
        return http.securityMatcher(ours)
                .csrf(csrf -> csrf.csrfTokenRepository(tokens))
                .requestCache(cache -> cache.requestCache(wanted))
                .addFilterBefore(new SessionEnd(idle, longest), SecurityContextHolderFilter.class)
                .addFilterBefore(throttle.filter(), UsernamePasswordAuthenticationFilter.class)
                .formLogin(form -> form.loginPage("/login")
                        .successHandler(signedIn(audit, throttle, wanted))
                        .failureHandler((request, response, e) -> {
                            throttle.failed(request);
                            audit.happened(
                                    new Audit.Act(known(people, request), "person.sign-in", null, null, null),
                                    "refused");
                            response.sendRedirect("/login?error");
                        }))
                .logout(logout -> logout.logoutUrl("/logout")
                        .addLogoutHandler((request, response, person) -> {
                            if (person != null) {
                                audit.happened(
                                        new Audit.Act(person.getName(), "person.sign-out", null, null, null), "done");
                            }
                        })
                        .deleteCookies("twinsync")
                        .logoutSuccessUrl("/login?out"))
                .authorizeHttpRequests(rights -> rights.dispatcherTypeMatchers(DispatcherType.ERROR)
                        .permitAll()
                        .requestMatchers(HttpMethod.GET, "/login", "/assets/**", "/webjars/htmx.org/**")
                        .permitAll()
                        .requestMatchers(HttpMethod.GET, "/", "/console", "/console/**")
                        .hasAnyRole("VIEWER", "OPERATOR", "ADMIN")
                        .requestMatchers(HttpMethod.POST, "/console/capture/*")
                        .hasRole("ADMIN")
                        .anyRequest()
                        .hasAnyRole("OPERATOR", "ADMIN"))
                .exceptionHandling(refusals -> refusals.authenticationEntryPoint((request, response, e) -> {
                            String login = request.getAttribute(SessionEnd.ENDED) == null ? "/login" : "/login?ended";
                            if (request.getHeader("HX-Request") != null) {
                                response.setHeader("HX-Redirect", login);
                                response.setStatus(HttpServletResponse.SC_UNAUTHORIZED);
                            } else {
                                response.sendRedirect(login);
                            }
                        })
                        .accessDeniedHandler(
                                (request, response, e) -> response.sendError(HttpServletResponse.SC_FORBIDDEN)))
                .headers(headers -> headers.contentSecurityPolicy(policy -> policy.policyDirectives(CONTENT))
                        .referrerPolicy(referrer -> referrer.policy(ReferrerPolicy.SAME_ORIGIN))
                        .frameOptions(frame -> frame.deny())
                        .permissionsPolicyHeader(policy -> policy.policy("camera=(), microphone=(), geolocation=()"))
                        .crossOriginOpenerPolicy(policy -> policy.policy(
                                org.springframework.security.web.header.writers.CrossOriginOpenerPolicyHeaderWriter
                                        .CrossOriginOpenerPolicy.SAME_ORIGIN)))
                .build();
    }

    private static SavedRequestAwareAuthenticationSuccessHandler signedIn(
            Audit audit, LoginThrottle throttle, CookieRequestCache wanted) {
        SavedRequestAwareAuthenticationSuccessHandler handler = new SavedRequestAwareAuthenticationSuccessHandler() {
            @Override
            public void onAuthenticationSuccess(
                    HttpServletRequest request,
                    HttpServletResponse response,
                    org.springframework.security.core.Authentication person)
                    throws jakarta.servlet.ServletException, IOException {
                throttle.passed(request);
                SessionEnd.begin(request);
                audit.happened(new Audit.Act(person.getName(), "person.sign-in", null, null, null), "done");
                super.onAuthenticationSuccess(request, response, person);
            }
        };
        handler.setDefaultTargetUrl("/console");
        handler.setRequestCache(wanted);
        return handler;
    }

    /** Who failed to sign in: what was typed is kept only where it is a person's name, since it may be a password. */
    private static String known(UserDetailsService people, HttpServletRequest request) {
        try {
            return people.loadUserByUsername(String.valueOf(request.getParameter("username")))
                    .getUsername();
        } catch (UsernameNotFoundException e) {
            return "?";
        }
    }

    private static boolean isErrorOfThese(HttpServletRequest request) {
        return request.getDispatcherType() == DispatcherType.ERROR
                && String.valueOf(request.getAttribute(RequestDispatcher.ERROR_REQUEST_URI))
                        .matches("/(console|login|logout|assets|webjars)?(/.*)?");
    }
}
